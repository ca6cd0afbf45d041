"""Makes several calls of one question: samples of which one is picked, and refinement by a judge. Each is a coroutine
over a function that asks once, so that they can be put around each other. The transform comes in."""
