"""Opens what steps look records up in, and looks at it before a run."""
