"""Defines what a pipeline file says of failures: what becomes of a record that fails, what answers in its place, and
how long anything may take.

The transforms, the other sections and the services import it; it imports only the domain's values."""
