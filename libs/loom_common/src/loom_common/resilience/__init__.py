"""Circuit breakers, the memory that the process holds, and the points at which tests make a service fail.

Whatever calls an upstream is guarded from here."""
