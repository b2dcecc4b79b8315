"""A sweep: what is tried, in which order, with which result, and which of it is the best."""
