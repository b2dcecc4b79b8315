"""The shapes of acoustic models: what planning knows of them, without torch."""
