"""Stores files as objects of a bucket: S3 and what speaks its protocol, Google Cloud Storage and Azure.

An object is read in ranges, written in parts, and exchanged as a whole; nothing is held in memory but a few blocks."""
