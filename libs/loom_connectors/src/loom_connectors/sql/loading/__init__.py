"""Contains what SQL destinations share: batches and their ledger rows written in one transaction, apart where a row is
refused."""
