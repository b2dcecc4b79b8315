"""What recognition is made of as a job: the audio that is named, parts of a manifest, counts of what was heard."""
