"""The report of a campaign: one page that needs nothing else, or served while the campaign runs."""
