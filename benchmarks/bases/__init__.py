"""Base training: its steps, its workers, its epochs."""
