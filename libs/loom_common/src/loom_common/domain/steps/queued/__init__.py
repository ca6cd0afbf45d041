"""Says which steps have a queue of their own, and in which chains the others are taken between these."""
