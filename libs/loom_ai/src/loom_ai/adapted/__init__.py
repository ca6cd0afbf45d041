"""Calls providers whose protocol Loom does not implement, through an adapter library. It is imported at the first such
call."""
