"""KoSpeech's interfaces: its classes and its job for a single user, on top of the modules that do the work."""
