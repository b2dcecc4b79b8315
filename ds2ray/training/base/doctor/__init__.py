"""The doctor of base training: what its reports say of a loss that does not fall."""
