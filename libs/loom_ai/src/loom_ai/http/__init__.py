"""Contains what all model providers have in common over HTTP: endpoints, response bodies with a size limit, and error
classification.

The protocols and clients of the providers import it; nothing in here depends on the provider."""
