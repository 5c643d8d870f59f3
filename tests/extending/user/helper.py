"""Code that the parts beside this file share."""

STEP = 1
