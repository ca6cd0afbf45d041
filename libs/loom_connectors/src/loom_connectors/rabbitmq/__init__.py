"""Implements RabbitMQ: a queue as a source that gives each message once, and an exchange as a destination.

The registry comes in here by the schemes `amqp://`, `amqps://` and `rabbitmq://`."""
