"""Joins the records of batches with the rows of other sources."""
