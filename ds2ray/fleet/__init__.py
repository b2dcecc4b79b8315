"""Many users: what is planned for them, and what became of them. Neither torch nor Ray."""
