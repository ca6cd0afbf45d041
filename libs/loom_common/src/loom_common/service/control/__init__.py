"""Receives what the coordinator tells every replica, and asks it what a replica has to know when it starts."""
