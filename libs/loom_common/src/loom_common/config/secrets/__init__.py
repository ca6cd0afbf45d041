"""Holds the places where secrets are kept that Loom can read without a plugin, one module each.

A module of a place is imported when a reference first names it; each implements `CredentialProvider` of
`loom_common.config.credentials`."""
