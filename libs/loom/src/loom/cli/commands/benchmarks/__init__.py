"""Implements `loom bench`: its commands, their options, and how they show what was measured."""
