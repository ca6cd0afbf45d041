"""Compares two runs on the records that both have: their outputs, verdicts, scores, cost and latency."""
