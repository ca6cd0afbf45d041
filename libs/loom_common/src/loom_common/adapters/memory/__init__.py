"""The bus within one process, held to the same contract as RabbitMQ by one conformance suite.

The composition root and tests come in here; everybody else sees `loom_common.ports.bus`."""
