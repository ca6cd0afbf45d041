"""Turns the text of a model's answer into records: finds the JSON, checks its schema, for one record or several per
call.

Transforms and evaluators import it. It uses the journal and depends on no provider."""
