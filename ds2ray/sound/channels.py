"""Channels mixed to one, so that none cancels another and a dead one does not weaken the others."""

import numpy as np

_DEAD = 1e-6
"""Share of the loudest channel's power below which a channel is dead: 60 dB below."""

_OPPOSITE = -0.5
"""Correlation with the first loud channel from which a channel counts as the same sound with its sign turned.

Two microphones in a room correlate somewhere about 0, a balanced line wired the wrong way round with -1.
"""

_LOUD = 0.5
"""Share of the loudest channel's power from which a channel is loud: where several are, the first sets the sign."""

_AT_ONCE = 2**18
"""Samples whose products are summed at once, so that a long recording needs no second copy in double precision."""


class Mixer:
    """Mixes the channels of a recording, which may arrive in pieces; decides by all that it has heard so far.

    Ordinary channels are averaged.
    """

    def __init__(self) -> None:
        self._num_samples = 0
        self._sums: np.ndarray | float = 0.0  # of each channel's samples, [C]
        self._products: np.ndarray | float = 0.0  # of every channel with every other, summed over samples, [C, C]
        self._note = ""

    def mix(self, channels: np.ndarray) -> np.ndarray:
        """float32 [num_samples, C] → float32 [num_samples]."""
        num_channels = channels.shape[1]
        if num_channels == 1:
            return channels[:, 0]
        for start in range(0, len(channels), _AT_ONCE):
            precise = channels[start : start + _AT_ONCE].astype(np.float64)
            self._num_samples += len(precise)
            self._sums = self._sums + precise.sum(axis=0)
            self._products = self._products + precise.T @ precise
        # without the means: sound cards add a constant, which is no sound and would look like correlation
        means = self._sums / max(1, self._num_samples)
        live, turned = _judged(self._products - self._num_samples * np.outer(means, means))
        self._note = _told(num_channels, live, turned)
        if live.all() and not turned.any():
            return channels.mean(axis=1)
        weights = np.where(live, np.where(turned, -1.0, 1.0), 0.0) / max(1, int(live.sum()))
        return (channels @ weights.astype(np.float32)).astype(np.float32)

    @property
    def note(self) -> str:
        """The channels that were used, and how; empty where it was one, or an ordinary pair."""
        return self._note


def _judged(products: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The channels that are live, and those that are the first loud one turned: bool [C] each, from float64 [C, C]."""
    power = np.diagonal(products)
    loudest = int(np.argmax(power))
    if not np.isfinite(products).all() or power[loudest] <= 0:
        everything = np.ones(len(power), dtype=bool)
        return everything, ~everything
    live = power > _DEAD * power[loudest]
    first = int(np.argmax(power >= _LOUD * power[loudest]))
    scale = np.sqrt(np.where(live, power, np.inf) * power[first])
    return live, live & (products[first] / scale < _OPPOSITE)


def _told(num_channels: int, live: np.ndarray, turned: np.ndarray) -> str:
    used = [str(number + 1) for number in np.flatnonzero(live)]
    dead = [str(number + 1) for number in np.flatnonzero(~live)]
    if len(used) == num_channels == 2 and not turned.any():
        return ""
    text = f"used channel {used[0]}" if len(used) == 1 else f"averaged channels {', '.join(used)}"
    text += f" of {num_channels}"
    if dead:
        text += f"; {', '.join(dead)} {'is' if len(dead) == 1 else 'are'} silent"
    if turned.any():
        opposite = ", ".join(str(number + 1) for number in np.flatnonzero(turned))
        text += f"; {opposite} of opposite phase, turned so that nothing cancels"
    return text
