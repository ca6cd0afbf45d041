"""Scores the outputs of a run again: what its transform made comes from the journal, and only new judgements cost.

The handlers of the stages are called here one after the other, without a bus: extract, transform, evaluate. Nothing is
loaded and nothing is quarantined unless the result is applied."""
