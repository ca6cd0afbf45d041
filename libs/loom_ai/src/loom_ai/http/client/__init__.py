"""Contains the HTTP/1.1 client of model calls: one POST after the other on connections that are kept.

It does what a model call needs and nothing else, for a third of the CPU of a general client (docs/adr/0065). It follows
no redirection, keeps no cookies, and sends no request a second time."""
