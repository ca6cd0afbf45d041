"""Takes the messages of a queue, and counts those in flight. It knows nothing of what they say."""
