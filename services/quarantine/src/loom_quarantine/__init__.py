"""Implements the quarantine service, which stores records that did not pass, and replays them on command."""
