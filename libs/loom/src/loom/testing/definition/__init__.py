"""Defines the file of tests: what it may say, and how it is read with every mistake placed."""
