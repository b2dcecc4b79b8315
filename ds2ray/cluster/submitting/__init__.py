"""Jobs that are submitted to a cluster from afar."""
