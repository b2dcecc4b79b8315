"""What runs on Ray: training of a base, trials of cohorts and of sweeps, and how the cluster is reached."""
