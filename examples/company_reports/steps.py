"""Says how large a company is."""

from __future__ import annotations


def size(record: dict) -> dict:
    """Return the class of a company by its sales, in millions."""
    sales = float(record["net_sales"])
    return {"size": "large" if sales >= 500 else "medium" if sales >= 100 else "small"}
