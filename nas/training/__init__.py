"""Training: data, recipe and loop."""
