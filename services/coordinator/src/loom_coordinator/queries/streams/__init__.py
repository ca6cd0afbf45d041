"""Queries streams as their users ask for them."""
