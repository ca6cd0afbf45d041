"""Declares the pages, a file for each kind of thing that is shown."""
