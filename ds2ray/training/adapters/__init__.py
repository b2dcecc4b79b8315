"""Training of adapters against a frozen base: one user's, and a cohort's as a stack."""
