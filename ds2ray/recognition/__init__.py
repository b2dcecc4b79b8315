"""Recognition with the speaker's own adapter."""
