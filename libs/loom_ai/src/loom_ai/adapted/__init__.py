"""Providers whose protocol Loom does not speak itself, through an adapter library. Imported where one is asked."""
