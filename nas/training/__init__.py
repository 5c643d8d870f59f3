"""Trains networks: data, recipes and the training loop."""
