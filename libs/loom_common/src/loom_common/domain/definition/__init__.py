"""What a pipeline file may say, as types, and the reader that finds every mistake in it at once.

Everything above may import this package; it imports only the values beside it."""
