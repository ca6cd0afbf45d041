"""Defines small protocols that the services use. `loom_common.adapters` implements them."""
