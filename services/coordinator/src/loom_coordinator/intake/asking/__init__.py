"""Knows who has sent a request, whether they may, and how they are answered."""
