"""What makes a process a service: composition, control messages, heartbeats, health, metrics and logging.

Each service's `service.py` and `__main__.py` come in here; handlers do not."""
