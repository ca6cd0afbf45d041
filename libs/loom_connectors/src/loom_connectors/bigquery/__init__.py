"""Implements BigQuery as a source and as a destination with a load ledger.

The registry comes in here by the scheme `bigquery://`."""
