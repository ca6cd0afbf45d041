"""Asks a model about a record as the settings of `ai` say: which models with which options, in how many calls, and with
which tools."""
