"""The report: a page of evidence about runs, with its plots."""
