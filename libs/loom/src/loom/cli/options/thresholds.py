"""Defines the option of commands that propose thresholds."""

from typing import Annotated

import typer

Risk = Annotated[
    float,
    typer.Option(
        "--delta", metavar="P", min=1e-6, max=0.5, help="The probability with which that threshold may miss it."
    ),
]
