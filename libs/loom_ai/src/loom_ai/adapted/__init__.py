"""Providers whose protocol Loom does not implement, called through an adapter library. It is imported at the first such
call."""
