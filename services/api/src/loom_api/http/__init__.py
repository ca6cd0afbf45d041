"""Speaks HTTP for the routes: how results, pages and errors are written, and what stands before every request.

The routes and the application come in here."""
