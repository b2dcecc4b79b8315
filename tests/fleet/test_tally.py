import pytest

from ds2ray.fleet.tally import CohortSoFar, Tally


def tally(**more: object) -> Tally:
    return Tally(num_users=8, num_utterances=100, speech_s=[60.0, 20.0], started_s=100.0, **more)  # type: ignore[arg-type]


def test_at_the_beginning_it_waits_for_workers() -> None:
    new = tally()
    assert (new.stage(), new.share(), new.facts(112.0)) == ("starting workers", 0.0, ["0/8 users"])


def test_work_is_weighed_by_its_speech() -> None:
    now = tally()
    now.report(0, {}, CohortSoFar("training", 60, 0.5), 110.0)
    now.report(1, {}, CohortSoFar("encoding", 10, 0.1), 110.0)
    assert now.share() == pytest.approx((30 + 2) / 80)
    # 40 % took 16 s, so 60 % takes 24: the 10 s before the first trial began do not count
    assert now.facts(126.0) == ["0/8 users", "70/100 utterances encoded", "eta 24s"]


def test_a_log_is_told_users_by_status_and_how_fast_they_come() -> None:
    now = Tally(1000, 9000, [100.0] * 10, started_s=0.0)
    for cohort in range(3):
        now.report(cohort, {"adapted": 99, "kept_previous": 3, "failed": 2}, CohortSoFar("training", 900, 1.0), 10.0)
        now.finish(cohort)
    line = "312/1000 users · 297 adapted · 9 kept · 6 failed · 2700/9000 utterances encoded · 41 users/min · eta 17m"
    assert " · ".join(now.facts(456.6)) == line


def test_what_most_trials_do_is_the_stage() -> None:
    now = Tally(3, 3, [1.0] * 3, started_s=0.0)
    for cohort, stage in enumerate(["encoding", "training", "training"]):
        now.report(cohort, {}, CohortSoFar(stage, 1, 0.2), 1.0)
    assert now.stage() == "training"


def test_at_the_end_no_time_is_left() -> None:
    now = tally()
    for cohort in (0, 1):
        now.report(cohort, {"adapted": 4}, CohortSoFar("training", 50, 1.0), 110.0)
        now.finish(cohort)
    assert now.share() == 1.0
    assert now.facts(160.0) == ["8/8 users", "8 adapted", "100/100 utterances encoded", "8.0 users/min"]


def test_a_cohort_that_is_given_up_counts_as_done() -> None:
    now = tally()
    now.finish(1)
    assert now.share() == 0.25


def test_a_cohort_that_starts_again_begins_anew() -> None:
    now = tally()
    now.report(0, {"adapted": 1}, CohortSoFar("training", 60, 0.9), 110.0)
    now.report(0, {}, CohortSoFar("reading audio", 0, 0.0), 120.0)
    assert now.share() == 0.0
    assert now.facts(130.0) == ["1/8 users", "1 adapted", "2.0 users/min"]


def so_far(prepared: float, trained: float, prepared_s: float, trained_s: float) -> CohortSoFar:
    return CohortSoFar("training", 1, 0.1 + 0.9 * trained, prepared, trained, prepared_s, trained_s)


def test_the_time_that_is_left_is_told_by_the_speeds_of_both_stages() -> None:
    now = Tally(8, 100, [100.0, 100.0, 100.0, 100.0], started_s=0.0, at_once=2)
    for cohort in (0, 1):  # 0.5 s of encoding and 1 s of training for a second of speech
        now.report(cohort, {}, so_far(1.0, 0.1, 50.0, 10.0), 60.0)
    # 90 s each of the first two, and 150 s each of the others, by two workers
    assert now.eta_s(60.0) == pytest.approx((2 * 90 + 2 * 150) / 2)
    assert now.share() == pytest.approx(120 / 600)
    assert now.eta_s(70.0) == pytest.approx((2 * 80 + 2 * 150) / 2)  # 10 s later, with no report since


def test_no_time_is_left_that_is_shorter_than_the_longest_cohort() -> None:
    now = Tally(8, 100, [100.0, 10.0], started_s=0.0, at_once=2)
    now.report(0, {}, so_far(1.0, 0.5, 10.0, 50.0), 60.0)
    now.report(1, {}, so_far(1.0, 0.9, 1.0, 9.0), 60.0)
    assert now.eta_s(60.0) == pytest.approx(50.0)


def test_cohorts_that_are_done_count_for_the_speed_and_those_of_whom_nobody_was_trained_do_not() -> None:
    now = Tally(8, 100, [100.0, 100.0, 100.0], started_s=0.0)
    now.report(0, {"adapted": 4}, so_far(1.0, 1.0, 50.0, 100.0), 150.0)
    now.finish(0)
    now.report(1, {"skipped_no_data": 4}, CohortSoFar("encoding", 0, 1.0, 1.0, 1.0, 1.0, 0.0), 151.0)
    now.finish(1)
    assert now.eta_s(151.0) == pytest.approx(150.0)
    assert now.share() == pytest.approx(2 / 3)


def test_as_long_as_hardly_anything_is_trained_the_speed_of_training_is_a_guess() -> None:
    now = Tally(8, 100, [100.0], started_s=0.0, train_by_encode=4.0)
    now.report(0, {}, so_far(1.0, 0.01, 50.0, 30.0), 80.0)
    assert now.share() == pytest.approx((50 + 2) / 250)
    assert now.eta_s(90.0) == pytest.approx(0.99 * 200 - 10)
    now.report(0, {}, so_far(1.0, 0.02, 50.0, 60.0), 110.0)
    assert now.eta_s(110.0) == pytest.approx(0.98 * 3000)


def test_the_first_steps_of_a_process_say_nothing_of_those_that_follow() -> None:
    now = Tally(8, 100, [100.0], started_s=0.0)
    now.report(0, {}, so_far(1.0, 0.01, 10.0, 8.0), 20.0)  # libraries warm up: eight seconds for a hundredth
    now.report(0, {}, so_far(1.0, 0.11, 10.0, 18.0), 30.0)  # a second for each that follows
    assert now.eta_s(30.0) == pytest.approx(89.0)
    assert now.worker_seconds() == {"encoding": 10.0, "training": 18.0}
    now.report(0, {}, so_far(1.0, 1.0, 10.0, 107.0), 119.0)
    now.finish(0)
    assert now.worker_seconds() == {"encoding": 10.0, "training": 107.0}


def test_as_long_as_processes_are_warming_up_no_time_is_told() -> None:
    now = Tally(8, 100, [100.0, 100.0], started_s=0.0, at_once=2)
    now.report(0, {}, so_far(1.0, 0.0, 9.0, 0.0), 20.0)
    assert now.eta_s(21.0) is None
    now.report(0, {}, so_far(1.0, 0.05, 9.0, 6.0), 26.0)
    assert now.eta_s(27.0) is None
    now.report(0, {}, so_far(1.0, 0.1, 9.0, 7.0), 27.0)
    assert now.eta_s(27.0) == pytest.approx(9 + 20)  # of the cohort that has not begun


def simulated(speech_s: list[float], workers: int, encode: float, train: float, start_s: float) -> list[float]:
    """How far the time that is told to be left is from the truth, as a share of that, every second between a tenth and
    nine tenths of a run; workers begin one after the other, `start_s` apart."""
    likely = 1.25 * train / encode  # by a quarter too long
    now = Tally(60, 600, speech_s, started_s=0.0, at_once=workers, train_by_encode=likely)
    free_s = [start_s * (1 + worker) for worker in range(workers)]
    spans = []
    for cohort, of_speech_s in enumerate(speech_s):
        worker = free_s.index(min(free_s))
        begin_s = free_s[worker]
        free_s[worker] = begin_s + of_speech_s * (encode + train)
        spans.append((cohort, begin_s, of_speech_s))
    end_s, told = max(free_s), []
    for second in range(int(end_s) + 1):
        for cohort, begin_s, of_speech_s in spans:
            at_s, encode_s, train_s = second - begin_s, of_speech_s * encode, of_speech_s * train
            if at_s < 0 or cohort in now.done:
                continue
            prepared, trained = (min(1.0, max(0.0, share)) for share in (at_s / encode_s, (at_s - encode_s) / train_s))
            share = 0.1 * prepared + 0.9 * trained
            stage = "training" if trained else "encoding"
            spent = (prepared * encode_s, trained * train_s)
            now.report(cohort, {}, CohortSoFar(stage, 1, share, prepared, trained, *spent), float(second))
            if trained >= 1:
                now.finish(cohort)
        if 0.1 <= (second - start_s) / (end_s - start_s) <= 0.9:
            told.append(abs((now.eta_s(float(second)) or 0.0) - (end_s - second)) / (end_s - second))
    return told


@pytest.mark.parametrize(
    ("speech_s", "workers", "encode", "train", "start_s"),
    [
        ([600.0, 600.0], 2, 0.02, 0.2, 10.0),  # adapters before the first layer: hardly any encoding
        ([400.0] * 6, 2, 0.02, 0.1, 5.0),
        ([900.0, 500.0, 400.0, 100.0, 50.0], 2, 0.05, 0.2, 5.0),  # the last worker works alone
        ([300.0] * 40, 4, 0.1, 0.1, 5.0),
        ([2000.0], 1, 0.01, 0.1, 5.0),
    ],
)
def test_once_a_tenth_is_done_the_time_that_is_left_is_told_within_a_third(
    speech_s: list[float], workers: int, encode: float, train: float, start_s: float
) -> None:
    errors = simulated(speech_s, workers, encode, train, start_s)
    assert errors
    assert max(errors) < 1 / 3
