"""Holds the targets of a project, `dev` and `prod`: what each of them says of the project's pipelines.

`loom.project` comes in here; nothing of it is imported here."""
