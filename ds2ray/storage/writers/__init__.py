"""Several writers of one object: conditional writes, and its age by the clock of the storage."""
