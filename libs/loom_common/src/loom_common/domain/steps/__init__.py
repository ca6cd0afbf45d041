"""Holds what a graph of named steps is: the keys of a step, expressions over a record, the order of the steps, and what
is wrong with them. It knows nothing of what a step does, and does no I/O."""
