"""Keeps what people and programs sign in with: tokens of Loom, and sessions of the console.

The API's gate and its pages come in, and `loom token`. Everything is stored by its hash alone."""
