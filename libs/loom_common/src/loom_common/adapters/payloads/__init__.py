"""Contains payload stores in a folder or a table, and the bus that puts large bodies there.

The composition root imports it; other packages use `loom_common.ports.payloads`."""
