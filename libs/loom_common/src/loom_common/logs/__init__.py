"""Lets modules write lines to the log of their process. `loom_common.service.logging` says what a line looks like."""
