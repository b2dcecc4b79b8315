"""KoSpeech's faces: its classes and its job for a single user, over the modules that do the work."""
