"""What travels between services: immutable, versioned messages."""
