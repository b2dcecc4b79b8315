"""The shapes of acoustic models, by which a plan is made without torch."""
