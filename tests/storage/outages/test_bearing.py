import pytest

from ds2ray import storage
from ds2ray.errors import ArtifactCorruptError, InterruptedRunError, StorageError
from ds2ray.storage.outages import bearing


class Clock:
    now_s = 100.0

    def monotonic(self) -> float:
        return self.now_s


def test_a_renewal_may_fail_until_what_it_renews_nearly_ends(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = Clock()
    errors: list[StorageError] = []
    monkeypatch.setattr(bearing, "time", clock)

    def renew() -> None:
        if errors:
            raise errors[-1]

    renew_or_bear = storage.bearing_outages(renew, lasts_s=120)
    clock.now_s += 60
    renew_or_bear()
    errors.append(StorageError("s3://a: access denied"))
    for seconds in (30, 59):  # after the renewal that went well
        clock.now_s = 160 + seconds
        renew_or_bear()
    assert capsys.readouterr().out.splitlines() == [
        "the lease cannot be renewed (s3://a: access denied); the run goes on for 1m without",
        "the lease cannot be renewed (s3://a: access denied); the run goes on for 31s without",
    ]
    clock.now_s = 160 + 91
    with pytest.raises(StorageError, match="access denied"):
        renew_or_bear()


@pytest.mark.parametrize("error", [InterruptedRunError("another run"), ArtifactCorruptError("no lease")])
def test_a_lease_that_is_lost_or_damaged_is_not_borne(error: Exception) -> None:
    def renew() -> None:
        raise error

    with pytest.raises(type(error)):
        storage.bearing_outages(renew, lasts_s=120)()
