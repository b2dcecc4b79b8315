"""Many users: what is stored of them, what is planned for them, and what became of them. Neither torch nor Ray."""
