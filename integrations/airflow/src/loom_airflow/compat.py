"""Imports what has another place in earlier versions of Airflow 3."""

from __future__ import annotations

try:
    from airflow.sdk.exceptions import AirflowException, AirflowFailException
except ImportError:  # Airflow 3.0 and 3.1
    from airflow.exceptions import AirflowException, AirflowFailException

try:
    from airflow.sdk.configuration import conf
except ImportError:  # likewise
    from airflow.configuration import conf

__all__ = ["AirflowException", "AirflowFailException", "conf"]
