"""Which users of a table a run is about, and how many of them it may change."""
