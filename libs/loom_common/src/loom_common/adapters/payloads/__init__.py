"""Where payloads lie - a folder or a table - and the bus that sends large bodies there.

The composition root comes in here; everybody else sees `loom_common.ports.payloads`."""
