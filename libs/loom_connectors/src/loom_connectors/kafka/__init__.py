"""Implements Kafka: a topic as a source, whose offsets Loom keeps and a consumer group is told.

The registry comes in here by the schemes `kafka://` and `kafkas://`. It needs the extra `kafka`."""
