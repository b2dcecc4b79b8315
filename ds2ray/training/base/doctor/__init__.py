"""The doctor of base training: small trials before it, and what its reports say of a loss that does not fall."""
