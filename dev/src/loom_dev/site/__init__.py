"""Makes the pages of the documentation site out of the documents of this repository."""
