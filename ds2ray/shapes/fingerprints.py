"""The versions of bases' fingerprints; `ds2ray.model.weights` computes them."""

from ds2ray.errors import ArtifactCorruptError, NewerReleaseError

FINGERPRINT_VERSION = 2
"""Version of the fingerprints of new bases: version 1 left the model's settings out. A base keeps its version."""


def require_known_version(version: object, where: str) -> None:
    """Raise an error where the version of a stored base's fingerprint is not known.

    Args:
        where: the file that holds the version, for messages.

    Raises:
        NewerReleaseError: this release does not know the version yet.
        ArtifactCorruptError: it is none.
    """
    if isinstance(version, bool) or not isinstance(version, int) or version < 1:
        raise ArtifactCorruptError(
            f"{where}: its description is damaged, in fingerprint_version ({version!r} is no version); restore it or "
            "publish it again"
        )
    if version > FINGERPRINT_VERSION:
        raise NewerReleaseError(
            f"{where}: fingerprints of version {version} are not known: it was written by a newer release of ds2ray; "
            "install that one, or write it again with this one"
        )
