"""Keeps what did not pass, and replays it on command."""
