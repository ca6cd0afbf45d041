"""Implements the bus on RabbitMQ. No other package imports an AMQP client.

The composition root imports it; other packages use `loom_common.ports.bus`."""
