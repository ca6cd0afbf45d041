"""Run state as people and programs ask for it. Reads, and changes nothing.

The command lines, the SDK, metrics and reports come in here; nothing in here is called while a record is moved."""
