"""What a worker keeps between messages: the plans it met and the connections it opened.

Handlers ask here; nothing in here knows what a plan says or what a connection speaks."""
