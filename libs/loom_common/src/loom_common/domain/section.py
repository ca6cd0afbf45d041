"""Defines the base of every section of the pipeline file: unknown keys are errors, all mistakes are reported, and
secrets are refused."""

import re
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Self, get_args

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ModelWrapValidatorHandler, model_validator
from pydantic_core import InitErrorDetails, PydanticCustomError, ValidationError
from pydantic_core.core_schema import ErrorType

from loom_common.domain.values.urls import clear_text_password

_FUNCTION = re.compile(r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$")
_KNOWN = frozenset(get_args(ErrorType))
"""Holds the kinds of errors whose messages are pydantic's own."""


def _location(value: str) -> str:
    if clear_text_password(value):
        raise PydanticCustomError(
            "clear_text_password",
            "a credential reference instead of a password in clear: ${NAME}, resolved where it is needed",
        )
    return value


def _web_location(value: str) -> str:
    if "${" not in value and not re.match(r"https?://[^/\s]", value):
        raise PydanticCustomError("web_location", "an address that begins with http:// or https://")
    return value


def _function(value: str) -> str:
    if not _FUNCTION.match(value):
        raise PydanticCustomError("function_reference", "a function written module:name")
    return value


def _secret_reference(value: str) -> str:
    if not re.fullmatch(r"\$\{[^}]+\}", value):
        raise PydanticCustomError("clear_text_secret", "a credential reference: ${NAME} or ${provider:name}")
    return value


Location = Annotated[str, Field(min_length=1), AfterValidator(_location)]
"""A path or URL. Credentials in it must be references: `${NAME}`."""
WebLocation = Annotated[Location, AfterValidator(_web_location)]
"""The http(s) address of a service, or a reference to one."""
FunctionRef = Annotated[str, AfterValidator(_function)]
SecretRef = Annotated[str, AfterValidator(_secret_reference)]

Mistake = InitErrorDetails
"""A mistake: its place in its section, and what was expected there."""


def mistake(loc: tuple[str | int, ...], kind: str, expected: str, found: Any = None) -> Mistake:
    """Return a mistake at `loc`, which starts at the current section. `kind` is an identifier for programs."""
    # The message is passed as a value, because pydantic would replace braces in it.
    return InitErrorDetails(
        type=PydanticCustomError(kind, "{expected}", {"expected": expected}),
        loc=loc,
        input=found,
    )


def mistakes_in(error: ValidationError, *before: str | int) -> list[Mistake]:
    """Return the mistakes of a failed validation, with `before` in front of their places."""
    made = []
    for detail in error.errors(include_url=False):
        kind: Any = detail["type"]
        if kind not in _KNOWN:
            kind = PydanticCustomError(kind, "{expected}", {"expected": detail["msg"]})
        made.append(
            InitErrorDetails(type=kind, loc=(*before, *detail["loc"]), input=detail["input"], ctx=detail.get("ctx", {}))
        )
    return made


def refusal(title: str, mistakes: Iterable[Mistake]) -> ValidationError:
    """Return one error for several mistakes."""
    return ValidationError.from_exception_data(title, list(mistakes))


def said(written: Any, key: str) -> Any:
    """Return the value under `key` in a section, as written or as a model; None where it is missing."""
    if isinstance(written, Mapping):
        return written.get(key)
    return getattr(written, key, None) if isinstance(written, BaseModel) else None


def items(written: Any, key: str) -> list[Any]:
    """Return the list under `key` in a section; empty where there is none."""
    value = said(written, key)
    return list(value) if isinstance(value, list | tuple) else []


def _is_number(annotation: Any) -> bool:
    parts = {annotation, *get_args(annotation)}
    return bool(parts & {int, float}) and bool not in parts


class Section(BaseModel):
    """Serves as the base of every section of the pipeline file. Unknown keys are mistakes.

    A rule about several keys belongs in `mistakes`. A validator that runs after the fields would be skipped while a
    field is wrong, and the user would see its error in a second round."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True, allow_inf_nan=False, defer_build=True)

    @classmethod
    def long_form(cls, written: Any) -> Any:
        """Return the section's long form of what was written."""
        return written

    @classmethod
    def mistakes(cls, written: Mapping[str, Any]) -> Iterable[Mistake]:  # noqa: ARG003 - those that derive read it
        """Yield what does not fit together in the section as written.

        A key may be missing or hold anything: errors of a single key are reported by its type."""
        return ()

    @classmethod
    def _no_numbers(cls, written: Mapping[str, Any]) -> Iterable[Mistake]:
        """Yield a mistake for `true` where a number belongs, because Python counts it as 1."""
        for name, field in cls.model_fields.items():
            key = field.alias or name
            if isinstance(written.get(key), bool) and _is_number(field.annotation):
                yield mistake((key,), "number", "a number", written[key])

    @model_validator(mode="wrap")
    @classmethod
    def _all_at_once(cls, written: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        written = cls.long_form(written)
        found = [*cls._no_numbers(written), *cls.mistakes(written)] if isinstance(written, Mapping) else []
        try:
            made = handler(written)
        except ValidationError as error:
            found = [*mistakes_in(error), *found]
        if found:
            raise refusal(cls.__name__, found)
        return made
