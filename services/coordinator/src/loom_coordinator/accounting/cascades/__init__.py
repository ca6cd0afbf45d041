"""Tells what the cascades of a run saved, and what is promised of them."""
