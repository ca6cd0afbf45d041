"""Implements the bus within one process. One conformance suite checks it and RabbitMQ against the same contract.

The composition root and tests import it; other packages use `loom_common.ports.bus`."""
