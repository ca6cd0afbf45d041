"""Implements one worker: it takes messages from one queue, hands them to a handler, publishes what follows and
acknowledges.

Services bring a handler and a queue; nothing in here knows what a particular stage does."""
