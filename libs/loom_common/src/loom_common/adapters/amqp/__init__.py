"""The bus on RabbitMQ. The only package that imports an AMQP client.

The composition root comes in here; everybody else sees `loom_common.ports.bus`."""
