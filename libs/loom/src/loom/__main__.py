"""`python -m loom` is `loom`."""

from loom.cli.app import main

main()
