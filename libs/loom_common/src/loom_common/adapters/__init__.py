"""Contains implementations of the ports, one module or package per technology, named as the port."""
