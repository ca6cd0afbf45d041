"""Shows streams: their windows as they close, and how far they have come."""
