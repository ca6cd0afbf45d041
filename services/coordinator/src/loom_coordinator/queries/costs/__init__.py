"""Adds up what runs cost."""
