"""Real people: bases and adapters for those whom no base has heard."""
