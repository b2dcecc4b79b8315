"""Sound: reading and writing audio, features, noise."""
