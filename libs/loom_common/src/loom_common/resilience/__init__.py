"""Contains circuit breakers, the memory that the process holds, and the points at which tests make a service fail.

Every call of an upstream goes through a breaker."""
