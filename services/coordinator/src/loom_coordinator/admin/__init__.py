"""Implements `loom-coordinator`, which shows a cluster and steers it. One file per group of commands."""
