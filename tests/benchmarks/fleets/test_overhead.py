"""The benchmark runs, and what it counts is right; how fast it is, it says itself."""

from benchmarks.fleets import overhead


def test_every_user_goes_through_the_driver(ray_cluster: str) -> None:
    found = overhead.measure(num_users=150)
    assert (found["overhead_users"], found["cohorts"], found["trials_concurrent"]) == (150, 3, 2)
    for field in ("overhead_ms_per_user", "driver_memory_start_mb", "driver_memory_end_mb"):
        value = found[field]
        assert isinstance(value, float)
        assert value > 0
    assert isinstance(found["driver_memory_growth_kb_per_cohort"], float)
