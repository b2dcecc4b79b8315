"""Random damage to every kind of file: what is read is what was read before, or an error that names the file."""

import random

from benchmarks.chaos.mutations import damaged, mutated

COUNT = 400


def test_no_damage_ends_in_a_traceback_or_passes_in_silence() -> None:
    figures, told = damaged(seed=11, count=COUNT)
    assert told == []
    assert figures == {"mutations": COUNT, "tracebacks": 0, "silent_corruptions": 0}


def test_a_mutation_changes_one_place() -> None:
    draw, data = random.Random(5), bytes(range(100))
    for _ in range(200):
        changed, what = mutated(data, draw)
        start = int(what.split()[1].partition("-")[0])
        assert changed[:start] == data[:start]
        assert len(changed) <= 2 * len(data)
