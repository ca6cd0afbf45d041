"""What the environment says: settings, one class per backend, and references to credentials.

Composition roots read settings; credentials are resolved only by the worker that uses them."""
