"""Checks of records before they enter a run, and of plans in run requests. They do no I/O.

The stages and the coordinator import them."""
