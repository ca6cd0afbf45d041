"""Shows the records of a run, and one of them whole."""
