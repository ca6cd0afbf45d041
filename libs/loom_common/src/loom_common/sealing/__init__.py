"""Encrypts the sensitive fields of records, and decrypts them where they are worked on."""
