"""Defines the file of an ontology as types."""

import re
from collections.abc import Iterable, Mapping
from typing import Any, Literal

from pydantic import AliasChoices, Field, field_validator
from pydantic_core import PydanticCustomError

from loom_common.domain.quality.check import Action
from loom_common.domain.section import Mistake, Section, items, mistake, said

Role = Literal["key", "foreign_key", "timestamp", "measure", "dimension", "attribute", "text"]
ValueType = Literal["string", "number", "integer", "boolean", "date", "datetime"]
_NAME = re.compile(r"^[a-z][a-z0-9_]{0,59}$")
NUMERIC = frozenset({"number", "integer"})


def _identifier(value: str) -> str:
    if not _NAME.match(value):
        raise PydanticCustomError("ontology_name", "a name of at most 60 lower case letters, digits and `_`")
    return value


class _Named(Section):
    name: str = Field(description="By which formulas and rules know it: lower case letters, digits and `_`.")
    description: str = Field("", description="For people and for models.")

    @field_validator("name")
    @classmethod
    def _speakable(cls, value: str) -> str:
        return _identifier(value)


class Concept(_Named):
    """Describes a term of the domain that a field of a record may stand for."""

    indicators: list[str] = Field(
        [],
        description="Names of fields, where `*` stands for any letters: `customer*`, `*_amount`. Case, and whether "
        "words are parted by `_`, `-`, a blank or a capital, does not matter.",
    )
    typical_role: Role | None = Field(None, description="What a field that stands for it is mostly used as.")
    entity_type: str | None = Field(None, description="What kind of thing it is, such as `dimension` or `event`.")
    temporal_behavior: Literal["additive", "semi_additive", "non_additive", "point_in_time"] | None = Field(
        None,
        description="Whether its values may be added up over time: a sale may, a balance only over accounts, a share "
        "never.",
    )
    type: ValueType | None = Field(None, description="The type of its values.")
    unit: str | None = Field(None, description="What is counted, e.g. `EUR` or `ms`.")

    @property
    def is_number(self) -> bool:
        """Tell whether its values are numbers, which a text in a CSV file is read as."""
        return self.type in NUMERIC if self.type is not None else self.typical_role == "measure"


class Metric(_Named):
    """Describes a number that is computed from concepts."""

    formula: str = Field(
        min_length=1, description="An expression (CEL) over concepts: `revenue - cost`. All numbers are decimals."
    )
    required_concepts: list[str] = Field(
        [], description="The concepts of the formula, for readers. They must be those that it names."
    )
    indicators: list[str] = Field(
        [],
        description="Names of fields that hold it already. There it is computed again and compared.",
    )
    tolerance: float = Field(0.01, ge=0, description="How far such a field may be from the formula, as a share of it.")
    unit: str | None = Field(None, description="What is counted.")


class QualityRule(_Named):
    """Describes what holds of every record that has the concepts which it names."""

    expression: str = Field(
        min_length=1,
        validation_alias=AliasChoices("expression", "condition", "rule"),
        description="An expression (CEL) over concepts that is true of good records: `quantity > 0`.",
    )
    action: Action = Field("warn", description="`warn`, `quarantine` or `fail`, as of every quality check.")
    max_share: float | None = Field(None, ge=0, le=1, description="The share of records that may miss the rule.")


class SemanticHint(Section):
    """Describes what the name of a field says of its role and type, whatever concept it stands for."""

    pattern: str = Field(min_length=1, description="Names of fields, as in `indicators`.")
    role: Role | None = Field(None, validation_alias=AliasChoices("role", "semantic_role", "typical_role"))
    type: ValueType | None = None
    description: str = ""


class Ontology(_Named):
    """Holds what the fields of a domain mean."""

    version: str = Field("1.0.0", description="Yours. Its content hash tells versions apart besides.")
    extends: list[str] = Field(
        [],
        description="Ontologies whose concepts, metrics, rules and hints it has, too. What has the same name here "
        "changes the keys that it says. Of several, later ones come before earlier ones.",
    )
    concepts: list[Concept] = Field([])
    metrics: list[Metric] = Field([])
    quality_rules: list[QualityRule] = Field([])
    semantic_hints: list[SemanticHint] = Field([])

    @field_validator("extends", mode="before")
    @classmethod
    def _one_or_many(cls, value: Any) -> Any:
        return [value] if isinstance(value, str) else [] if value is None else value

    @classmethod
    def mistakes(cls, written: Mapping[str, Any]) -> Iterable[Mistake]:
        """Nothing stands twice under one name."""
        for key in ("concepts", "metrics", "quality_rules"):
            seen = set[str]()
            for at, each in enumerate(items(written, key)):
                if isinstance(name := said(each, "name"), str):
                    if name in seen:
                        yield mistake((key, at, "name"), "same_name", f"a name that no other of `{key}` has", name)
                    seen.add(name)
