"""Seeds that depend only on the names of what is drawn, never on earlier draws."""

import hashlib


def derive_seed(*parts: object) -> int:
    """A 63-bit seed from a run's seed and the names of what it is for: a user, a step, a rank."""
    digest = hashlib.sha256("/".join(str(part) for part in parts).encode()).digest()
    return int.from_bytes(digest[:8], "little") >> 1
