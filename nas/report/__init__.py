"""Writes a campaign's report as one self-contained page, or serves it while the campaign runs."""
