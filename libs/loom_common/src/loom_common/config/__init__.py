"""Contains settings from the environment, one class per backend, and credential references.

The composition roots read the settings. A credential is resolved only by the worker that uses it."""
