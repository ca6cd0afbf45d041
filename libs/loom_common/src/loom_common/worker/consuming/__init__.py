"""Takes the messages of a queue, and counts those in flight and what became of them. It knows nothing of what they
say."""
