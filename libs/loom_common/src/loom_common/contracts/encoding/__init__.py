"""How messages become bytes and bytes become messages.

The worker and whoever publishes by hand come in here; the messages themselves know nothing of it."""
