"""The data report of a base training: what its speech and transcripts are like, before the first step."""
