"""The processes of Ray without which a job cannot go on."""
