"""Implements the batch APIs of OpenAI, Anthropic and Google. Only `client.py` of each request does I/O."""
