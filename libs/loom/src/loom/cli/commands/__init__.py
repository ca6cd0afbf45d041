"""Contains the commands of `loom`, one file per group.

`app.py` beside this package puts them together; a command imports what is heavy when it runs."""
