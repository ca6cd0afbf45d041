"""Holds what visits to drivers that block have in common: each is made in a thread, by a connection that is lent."""
