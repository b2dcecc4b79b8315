"""What runs on Ray: base training, adaptation of many users, sweeps and bulk recognition."""
