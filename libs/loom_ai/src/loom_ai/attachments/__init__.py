"""Knows the contents of attachments: their media types, their measures, and the tokens that providers charge."""
