"""The worst utterances, and the words that are confused."""

from judged_rows import SAID, judged

from ds2ray.evaluation.words import Confusion, confusions, worst


def test_the_utterances_with_the_most_errors_come_first_with_their_words_aligned() -> None:
    rows = [
        judged("ann", "", "turn on the night", number=1),
        judged("ann", "", SAID, number=2),
        judged("ann", "", "burn the right", number=3),
        judged("ann", "", "on", said="off", number=4),
    ]
    found = worst(rows, "adapters")
    assert [(m.row.utterance_id, m.errors) for m in found] == [("ann-3", 3), ("ann-4", 1), ("ann-1", 1)]
    assert found[0].pairs == (("turn", "burn"), ("on", None), ("the", "the"), ("light", "right"))
    assert [m.row.utterance_id for m in worst(rows, "adapters", max_rows=1)] == ["ann-3"]


def test_words_are_counted_that_are_taken_for_others_left_out_and_put_in() -> None:
    rows = [
        judged("ann", "", "turn on the night"),
        judged("ann", "", "please turn on the night"),
        judged("ann", "", "turn on light"),
        judged("ann", "", SAID),
    ]
    assert confusions(rows, "adapters") == [
        Confusion("light", "night", 2),
        Confusion(None, "please", 1),
        Confusion("the", None, 1),
    ]
    assert confusions(rows, "adapters", max_rows=1) == [Confusion("light", "night", 2)]
