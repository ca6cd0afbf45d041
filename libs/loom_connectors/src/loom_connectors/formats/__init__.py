"""What the bytes of a file say: CSV and JSON Lines, each with its source and its destination.

The registry comes in here by a location's suffix."""
