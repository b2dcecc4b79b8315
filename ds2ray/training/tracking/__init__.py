"""Trackers of experiments that a base training tells its settings and figures: MLflow, and Weights & Biases."""
