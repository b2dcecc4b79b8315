"""What can go wrong, in the few kinds that a caller treats differently.

Every message says what is wrong, where, why, and what to do. `exit_code` is what a job ends with:
2 wrong configuration or input (nothing was started), 5 storage or credentials (nothing was lost, run again),
75 interrupted or already running (run again).
"""


class Ds2RayError(Exception):
    """Anything that ds2ray itself refuses or reports."""

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
    """Something stored was written by a newer release of ds2ray, and holds what this one does not know."""


class StorageError(Ds2RayError):
    """The store could not be reached, or refused the credentials."""

    exit_code = 5


class ArtifactCorruptError(StorageError):
    """Stored bytes do not match their recorded size, checksum, names, shapes or types."""


class TrainingDivergedError(Ds2RayError):
    """Too many steps in a row had a loss or gradient that is not finite."""


class InterruptedRunError(Ds2RayError):
    """The run was asked to stop, or another run holds the lease; running again does what is unfinished."""

    exit_code = 75
