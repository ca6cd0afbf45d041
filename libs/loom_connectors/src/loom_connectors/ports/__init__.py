"""Holds the ports that connectors implement."""
