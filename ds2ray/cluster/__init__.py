"""Ray: training of a base, trials of cohorts and of sweeps, and the connection to the cluster."""
