"""The providers' protocols as values: a request's body, and what a response says. Pure, a module each."""
