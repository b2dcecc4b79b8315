"""The nights of a fleet: a run compared with those before it, as tables and as a page. No torch, no Ray."""
