"""Defines the results of the API: those that several queries make up, and the documents of those whose JSON is not
their fields. There is a file for what each group of routes answers.

The reads, the routes and the console import it; it imports the results of the queries."""
