"""Judged utterances for tests of evaluation, without any recognition."""

from collections.abc import Mapping

from ds2ray.evaluation.judged import Judged

SAID = "turn on the light"
MISHEARD = "turn on the night"


def judged(
    user: str,
    before: str,
    after: str,
    *,
    said: str = SAID,
    number: int = 0,
    duration_s: float = 2.0,
    cells: Mapping[str, object] | None = None,
) -> Judged:
    """An utterance as the systems `base` and `adapters` recognised it."""
    texts = {"base": before, "adapters": after}
    return Judged.of(f"{user}-{number}", user, duration_s, said, texts, cells or {})


def of_user(user: str, fallen: int, risen: int, same: int) -> list[Judged]:
    """Utterances of a user of which in some an error went, in some one came, and in some nothing changed."""
    pairs = [(MISHEARD, SAID)] * fallen + [(SAID, MISHEARD)] * risen + [(SAID, SAID)] * same
    return [judged(user, *pair, number=number) for number, pair in enumerate(pairs)]
