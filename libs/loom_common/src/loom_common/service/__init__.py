"""Turns a process into a service, with composition, control messages, heartbeats, health, metrics and logging.

Each service's `service.py` and `__main__.py` import it; handlers do not."""
