"""Holds what Python code is offered besides starting runs."""
