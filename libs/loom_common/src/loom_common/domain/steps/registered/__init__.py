"""Keeps the steps that packages offer by name: what each is, how it is found, and what it adds to a pipeline."""
