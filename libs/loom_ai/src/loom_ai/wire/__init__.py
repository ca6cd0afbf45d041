"""Implements the protocols of the model providers: how a request body is written and how a response is read.

There is one module per protocol. None of them does I/O."""
