"""The report: an HTML page about runs, with plots."""
