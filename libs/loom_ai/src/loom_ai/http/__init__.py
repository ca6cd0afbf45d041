"""Contains what all model providers have in common over HTTP: endpoints, and responses read as answers or errors.

The protocols and clients of the providers import it; nothing in here depends on the provider."""
