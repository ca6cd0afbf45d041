"""Defines when a version on trial is given all records of its stream, and when none, without anybody's doing."""

from typing import Annotated, Any

from pydantic import BeforeValidator, Field
from pydantic_core import PydanticCustomError

from loom_common.domain.section import Section


def _share(written: Any) -> float:
    text = str(written).strip()
    try:
        share = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        share = 0.0
    if isinstance(written, bool) or not 0 < share < 1:
        raise PydanticCustomError("share", "a share of the records, of more than 0% and less than 100%: 10%")
    return share


class CanaryConfig(Section):
    """Says how a version of the pipeline is tried on a share of its stream's records, and what decides on it. The short
    form is `share`."""

    share: Annotated[float, BeforeValidator(_share)] | None = Field(
        None,
        description="`10%`: a changed file gets this share of the records where it is run, and need not be asked for "
        "with `--canary`.",
    )
    windows: int = Field(3, ge=1, le=200, description="It is decided on after so many windows of the trial have ended,")
    records: int = Field(100, ge=1, description="and so many records have been through each of the two versions.")
    max_score_drop: float | None = Field(
        0.02, ge=0, le=1, description="The mean score may be so much below that of the other version. `null`: by any."
    )
    max_kept_back_factor: float | None = Field(
        1.5,
        ge=1,
        description="The share of records that are kept back may be so many times that of the other version; what is a "
        "hundredth above it may always be. `null`: any.",
    )
    max_cost_factor: float | None = Field(
        1.5, ge=0, description="A record may cost so many times what it costs with the other version. `null`: any."
    )

    @classmethod
    def long_form(cls, written: Any) -> Any:
        return {"share": written} if isinstance(written, str | float) else written
