"""Implements MySQL and MariaDB as a source and as a destination with a load ledger.

The registry comes in here by the schemes `mysql://` and `mariadb://`."""
