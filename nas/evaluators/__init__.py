"""What gives a trial its observation."""
