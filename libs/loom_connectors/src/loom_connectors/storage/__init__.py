"""Where files lie: how they are listed, read from an offset, written by parts and put in place.

Formats are read and written through it; it knows no format."""
