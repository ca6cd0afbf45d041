"""Small protocols the services are written against; `loom_common.adapters` implements them."""
