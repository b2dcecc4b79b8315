"""Machines on which training was measured, by which a fleet's first run is estimated: there is nothing else to go by.

The figures are those of lines in `benchmarks/results/`, which each row names. Another processor, speech or adapter
makes a difference, so that such an estimate is sure to a factor alone.
"""

from dataclasses import dataclass

from ds2ray.progress import duration_text

SURE_TO = 3.0
"""The factor within which an estimate by the table is taken to lie, either way."""

START_S = 20.0
"""Seconds of a run besides training: Ray, the workers' libraries, settling."""


@dataclass(frozen=True)
class Measured:
    """Training of adapters on one processor, measured.

    Attributes:
        base_bytes: size of the base's weights.
        with_head: whether layers of the base follow the adapter, through which every epoch goes.
        encode_s: seconds of one CPU for the trunk and for decoding, by second of speech …
        epoch_s: … and of an epoch.
        source: the lines in `benchmarks/results/`.
    """

    machine: str
    base: str
    base_bytes: int
    with_head: bool
    encode_s: float
    epoch_s: float
    source: str


MACHINES = (
    Measured("a CPU of an AMD EPYC", "tiny", 3_398_196, True, 0.00189, 0.00289, "nights-amd-epyc-2-cpus.json"),
    Measured("a CPU of an AMD EPYC", "ds2_small", 53_143_028, False, 0.0252, 0.00198, "levers-amd-epyc-2-cpus.json"),
)


@dataclass(frozen=True)
class Rough:
    """What a first run is likely to take by the table, on `cpus` CPUs."""

    seconds: float
    cpus: int
    measured: Measured

    def text(self) -> str:
        """The estimate in words, with how sure it is."""
        between = f"{duration_text(self.seconds / SURE_TO)} to {duration_text(SURE_TO * self.seconds)}"
        return (
            "no earlier run of this store tells how long it will take: "
            f"about {duration_text(self.seconds)} ({between}) with {self.cpus} CPUs, as many as this machine has, "
            f"by {self.measured.machine} on which {self.measured.base} was measured; a GPU is faster"
        )


def training_by_encoding(num_epochs: int, with_head: bool) -> float:
    """How many times as long as encoding so many epochs are likely to take."""
    (like,) = (row for row in MACHINES if row.with_head is with_head)
    return num_epochs * like.epoch_s / like.encode_s


def rough_estimate(speech_s: float, num_epochs: int, base_bytes: int, with_head: bool, cpus: int) -> Rough:
    """The estimate of a fleet's first run, by the measured base that is of a like place, scaled by the bases' sizes.

    Where no layers of the base follow the adapter its epochs cost the same on every base.
    """
    (like,) = (row for row in MACHINES if row.with_head is with_head)
    times = base_bytes / like.base_bytes
    per_s = times * like.encode_s + num_epochs * like.epoch_s * (times if with_head else 1.0)
    return Rough(START_S + speech_s * per_s / cpus, cpus, like)
