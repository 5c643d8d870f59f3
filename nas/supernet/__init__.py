"""Weight sharing: one set of weights for all members of a space."""
