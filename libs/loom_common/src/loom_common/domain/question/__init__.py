"""Makes the questions of a transform: system prompt, examples, turns and prompt, rendered for a record. No I/O.

The transformer asks them, the coordinator keeps their versions, and readers of pipeline files check them."""
