"""Writes intervals of DuckDB in ISO 8601, with months, days and seconds apart, and reads such texts for DuckDB."""

from __future__ import annotations

import re

from loom_connectors.values import UnfitValue

_DUCKDB = re.compile(
    r"(?:(-?\d+) years?)? ?(?:(-?\d+) months?)? ?(?:(-?\d+) days?)? ?(?:(-?)(\d+):(\d\d):(\d\d)(?:\.(\d+))?)?"
)
_NUMBER = r"([+-]?\d+)"
_ISO = re.compile(
    rf"([+-]?)P(?:{_NUMBER}Y)?(?:{_NUMBER}M)?(?:{_NUMBER}W)?(?:{_NUMBER}D)?"
    rf"(?:T(?:{_NUMBER}H)?(?:{_NUMBER}M)?(?:([+-]?)(\d+)(?:\.(\d+))?S)?)?"
)


def iso_of(text: str) -> str:
    """Return DuckDB's text of an interval in ISO 8601: `P1Y2M3DT4H5M6.789S`. Raises `ValueError` for another text."""
    found = _DUCKDB.fullmatch(text)
    if found is None:
        raise ValueError("its text form is no interval.")
    years, months, days, sign, hours, minutes, seconds, fraction = found.groups()
    part = (fraction or "").rstrip("0")
    time = [
        f"{sign}{int(hours)}H" if hours and int(hours) else "",
        f"{sign}{int(minutes)}M" if minutes and int(minutes) else "",
        f"{sign}{int(seconds)}{f'.{part}' if part else ''}S" if seconds and (int(seconds) or part) else "",
    ]
    date = "".join(f"{value}{unit}" for value, unit in ((years, "Y"), (months, "M"), (days, "D")) if value)
    clock = "".join(time)
    return f"P{date}{f'T{clock}' if clock else ''}" if date or clock else "PT0S"


def duckdb_of(text: str) -> str:
    """Return a text of an interval as DuckDB reads it; other texts than those of ISO 8601 stay as they are. Raises
    `UnfitValue` for more digits of a second than DuckDB keeps."""
    found = _ISO.fullmatch(text.strip()) if "P" in text else None
    if found is None:
        return text
    whole, years, months, weeks, days, hours, minutes, sign, seconds, fraction = found.groups()
    digits = (fraction or "").rstrip("0")
    if len(digits) > 6:
        raise UnfitValue(f"'{text[:40]}' has more digits of a second than the column keeps (6).")
    by = -1 if whole == "-" else 1
    micros = int(seconds or 0) * 1_000_000 + int(digits.ljust(6, "0") or 0)
    micros = -micros if sign == "-" else micros
    micros += (int(hours or 0) * 3600 + int(minutes or 0) * 60) * 1_000_000
    return (
        f"{by * (int(years or 0) * 12 + int(months or 0))} months "
        f"{by * (int(weeks or 0) * 7 + int(days or 0))} days {by * micros} microseconds"
    )
