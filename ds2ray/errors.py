"""The errors of ds2ray, in the few kinds that a caller treats differently.

Every message says what is wrong, where, why, and what to do. `exit_code` is what a job ends with:
2 wrong configuration or input (nothing was started), 3 too many users failed, 5 storage or credentials
(nothing was lost, run again), 6 a new base that a sample of users does not gain from (nothing was changed),
75 interrupted or already running (run again).
"""


class Ds2RayError(Exception):
    """An error that ds2ray itself raises, with a message for people; the base class of all others."""

    exit_code = 1


class ConfigError(Ds2RayError):
    """A setting is missing, misspelt or impossible."""

    exit_code = 2


class InputError(Ds2RayError):
    """A file, table, waveform or base that was handed in cannot be used."""

    exit_code = 2


class BaseMismatchError(InputError):
    """An adapter was trained against another base than the one it is loaded onto."""


class NewerReleaseError(InputError):
    """A stored file was written by a newer release of ds2ray, with fields or values that this one does not know."""


class StorageError(Ds2RayError):
    """The store could not be reached, or refused the credentials."""

    exit_code = 5


class ArtifactCorruptError(StorageError):
    """A stored file is missing, or does not match the recorded size, checksum, names, shapes or types."""


class TrainingDivergedError(Ds2RayError):
    """Too many steps in a row had a loss or gradient that is not finite."""


class CommonCauseError(Ds2RayError):
    """All users that a run tried first failed, and for one cause: the others were not tried."""

    exit_code = 3


class CanaryError(Ds2RayError):
    """The users who tried a new base first gained too little: it was made current for nobody, and nothing published."""

    exit_code = 6


class DeviceLostError(Ds2RayError):
    """The device of a process failed so that no later call in the same process can use it."""

    exit_code = 75


class InterruptedRunError(Ds2RayError):
    """The job was asked to stop, Ray failed, or another run holds the lease; run again, it does what is unfinished."""

    exit_code = 75
