"""Reads files of web servers, in ranges where the server has them."""
