"""Prints what scoring again and comparing runs comes to."""
