"""Reads the images, documents and recordings that questions show, within limits of size, place and memory."""
