"""Lets the handlers of the four stages work on plain records, while messages and tables hold sealed ones.

A service wraps its handlers here (`SealedStages.of`). A pipeline without `sensitive` fields is handled as if they were
not wrapped."""
