"""What jobs/prepare.py packs, and long recordings that it cuts for that."""
