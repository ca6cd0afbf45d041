"""Defines the pipeline file as a type: its own keys, and the sections, which have a file each. `docs/pipeline.md` is
generated from the descriptions of all their fields."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import Field, field_validator
from pydantic_core import PydanticCustomError

from loom_common.domain.definition.across_sections import mistakes_between, models_in
from loom_common.domain.definition.evaluation import EvaluateConfig
from loom_common.domain.definition.extract import ExtractConfig
from loom_common.domain.definition.failures.timeouts import Timeouts
from loom_common.domain.definition.in_clear.sensitive import needed_in_clear
from loom_common.domain.definition.ingest import IngestConfig
from loom_common.domain.definition.load import LoadConfig
from loom_common.domain.definition.monitoring import MonitoringConfig
from loom_common.domain.definition.streams.canary import CanaryConfig
from loom_common.domain.definition.streams.settings import (
    Mode,
    Pace,
    StreamBatchConfig,
    WindowConfig,
    completed,
    streaming_mistakes,
)
from loom_common.domain.definition.transforms.kinds import AnyTransform
from loom_common.domain.definition.transforms.step_fields import number_fields
from loom_common.domain.definition.transforms.steps import StepsTransformConfig
from loom_common.domain.model_options.params import ParamSpec
from loom_common.domain.model_options.pricing import ModelPrice
from loom_common.domain.model_options.providers import ProviderConfig, known_provider, model_mistake, provider_mistakes
from loom_common.domain.ontology.config import OntologyConfig, without_ontology
from loom_common.domain.plugin_section import unusable
from loom_common.domain.quality.fail_on import FailOn
from loom_common.domain.sealing.fields import SensitiveFields
from loom_common.domain.section import Mistake, Section, items, mistake, said
from loom_common.domain.steps.profiles import ProfileConfig, profile_mistakes
from loom_common.domain.steps.registered.adding import written_out
from loom_common.domain.steps.resolving import MEMBERS, resolves
from loom_common.domain.values import durations
from loom_common.domain.values.ids import state_name
from loom_common.errors import PluginUnusable
from loom_common.plugins.required import lacking

_NAME = re.compile(r"^[a-z][a-z0-9_-]{0,99}$")


class Pipeline(Section):
    """Defines one pipeline: Extract -> AI-Transform -> Evaluate -> Load."""

    name: str = Field(description="Lower case letters, digits, `_` and `-`; routing keys and tables carry it.")
    version: str = Field("1.0.0", description="Yours; every run records it.")
    description: str = Field("", description="For people.")
    target: str | None = Field(
        None,
        description="The target of `loom.yaml` that this definition was made for. Loom writes it; in a file it is a "
        "mistake.",
    )
    plugins: list[str] = Field(
        [],
        description="Packages that bring what this pipeline names, e.g. `loom-politeness>=1.0`. Where one is missing, "
        "or of another version, no run begins, and the message says what to install.",
    )
    depends_on: list[str] = Field(
        [],
        description="Pipelines of the project that run before this one: `loom run NAME --downstream` runs this one "
        "after them. One name or a list.",
    )
    spawn: list[str] = Field(
        [],
        description="Pipelines that run once after each run of this one that has succeeded, such as one that reads "
        "what it loads. One name or a list.",
    )
    params: dict[str, ParamSpec] = Field(
        default_factory=dict, description="Named values a run may set: `since: {type: date, default: 2024-01-01}`."
    )
    mode: Mode = Field(
        "batch",
        description="`streaming`: the pipeline never ends, and takes records as they come. `batch`: it ends with its "
        "source.",
    )
    window: WindowConfig | None = Field(
        None,
        description="In a stream: `{every: 5m, records: 10000}`, when a piece of it is closed, judged and reported, as "
        "a run is.",
    )
    batch: StreamBatchConfig | None = Field(
        None, description="In a stream: `{size: 100, wait: 200ms}`, how records are put together in batches."
    )
    order_by: list[str] = Field(
        [],
        description="In a stream: the field whose records stay in sequence, e.g. `customer_id`: those of one value are "
        "processed and loaded one after the other, in the order in which they came. One name or a list. "
        "[streaming.md](streaming.md#records-in-sequence) says what it costs.",
    )
    canary: CanaryConfig | None = Field(
        None,
        description="In a stream: `{share: 10%, windows: 3, records: 100}`, how a changed version is tried beside the "
        "one before, and when it takes all records or none.",
    )
    extract: ExtractConfig
    sensitive: list[str] = Field(
        [],
        description="Fields of the source's records and of the output that nobody is shown and that are kept "
        "encrypted: `[email, address.street]`. A dotted name is a field of an object, or of every object of a list. "
        "The destination gets them in clear. The key is that of `encryption` in `loom.yaml`.",
    )
    ingest: IngestConfig | None = Field(
        None,
        description="`{window: 24h}`, or `24h`: a record that comes over HTTP is processed once in this time. Without "
        "it, as often as it comes.",
    )
    transform: AnyTransform
    evaluate: EvaluateConfig | None = Field(None, description="Without it, every transformed record is loaded.")
    load: LoadConfig
    fail_on: FailOn = Field(
        default_factory=dict,
        description="`{rejected: 0.2, failed: 0}`: `loom run` exits with 5 where more records than that came to such "
        "an end. What passed is loaded all the same.",
    )
    monitoring: MonitoringConfig = Field(
        default_factory=MonitoringConfig, description="What a run may cost, and when an alert is raised."
    )
    prices: dict[str, ModelPrice] = Field(
        default_factory=dict,
        description="USD per million tokens, for models whose price is not known or is yours: "
        "`my-model: {input: 0.2, output: 0.8}`. Default: a bundled price list.",
    )
    providers: dict[str, ProviderConfig] = Field(
        default_factory=dict, description="Connections to model providers, by the name before the colon of `model`."
    )
    timeouts: Timeouts = Field(default_factory=Timeouts, description="What may take how long.")
    ontology: OntologyConfig | None = Field(
        None,
        description="What its fields mean: `retail`, or `{name: retail, columns: {revenue: paid}}`. Prompts see it as "
        "`{{ ontology }}`, and its rules are quality checks. `loom ontology list` shows all.",
    )
    profiles: dict[str, ProfileConfig] = Field(
        default_factory=dict,
        description="By name, which of `transform.steps` a run takes that is started with `--profile NAME`.",
    )

    @classmethod
    def long_form(cls, written: Any) -> Any:
        written = completed(written)
        if not isinstance(written, Mapping) or not items(said(written, "transform"), "steps"):
            return written
        return {**written, "transform": written_out(written["transform"])}

    @classmethod
    def mistakes(cls, written: Mapping[str, Any]) -> Iterable[Mistake]:
        """Demand providers that can be reached, models of providers that there are, packages that are installed, and
        outputs that overwrite nothing."""
        yield from provider_mistakes(written)
        yield from mistakes_between(written)
        yield from profile_mistakes(written)
        yield from needed_in_clear(written)
        yield from streaming_mistakes(written)
        yield from without_ontology(written)
        for position, requirement in enumerate(items(written, "plugins")):
            if isinstance(requirement, str) and (wanted := lacking(requirement)) is not None:
                yield mistake(("plugins", position), "plugin_missing", wanted, requirement)
        own = said(written, "providers")
        configured = list(own) if isinstance(own, Mapping) else []
        for at, model in models_in(written):
            if (wrong := model_mistake(model, configured)) is not None:
                yield mistake(at, "unknown_provider", wrong, model)
            provider, colon, _ = model.partition(":")
            try:
                if colon:
                    known_provider(provider)
            except PluginUnusable as error:
                yield unusable(at, error, model)

    @property
    def state_name(self) -> str:
        """Return the name under which is kept what the pipeline learns from run to run: up to where it has read its
        source, and the schemas of its records. Each target learns for itself."""
        return state_name(self.name, self.target)

    @property
    def windows(self) -> WindowConfig | None:
        """Return when windows close; None for a pipeline that ends."""
        return (self.window or WindowConfig()) if self.mode == "streaming" else None

    @property
    def pace(self) -> Pace | None:
        """Return how records of a stream are waited for; None for a pipeline that ends."""
        if self.mode != "streaming":
            return None
        poll = None if self.extract.poll is None else durations.seconds(self.extract.poll)
        wait = durations.seconds((self.batch or StreamBatchConfig()).wait)
        return Pace(wait, self.extract.batch_size, poll)

    @property
    def sensitive_fields(self) -> SensitiveFields:
        """Return the fields that are sensitive, to be found in records, also in those that a block holds."""
        blocks = [f"{MEMBERS}.record.{name}" for name in self.sensitive] if resolves(self.transform) else []
        return SensitiveFields([*self.sensitive, *blocks])

    @property
    def row_key(self) -> tuple[str, ...]:
        """Return the fields that identify a row: the key of its record, or of its group, and its number among the
        records that a step made of that; empty where records have no key."""
        if (group := self._group_fields) is not None:
            return (*group, *number_fields(self.transform))
        return (*self.extract.keys, *number_fields(self.transform)) if self.extract.keys else ()

    @property
    def fixed_fields(self) -> tuple[str, ...]:
        """Return the fields of a record that its output must not change: those of its key, or of its group."""
        return self.extract.keys if self._group_fields is None else self._group_fields

    @property
    def carried_key(self) -> tuple[str, ...]:
        """Return the fields of the record's key, which its row has besides its output; none where a step groups
        records, as the fields of a group are the output of that step."""
        return self.extract.keys if self._group_fields is None else ()

    @property
    def _group_fields(self) -> tuple[str, ...] | None:
        return self.transform.group_fields if isinstance(self.transform, StepsTransformConfig) else None

    @property
    def ingest_keys(self) -> tuple[str, ...]:
        """Return the fields by which a record is known that comes again; empty where none is."""
        if self.ingest is None:
            return ()
        key = self.ingest.key
        return self.extract.keys if key is None else (key,) if isinstance(key, str) else tuple(key)

    @field_validator("depends_on", "spawn", "order_by", mode="before")
    @classmethod
    def _one_or_many(cls, value: Any) -> Any:
        return [value] if isinstance(value, str) else value

    @field_validator("sensitive")
    @classmethod
    def _names_of_fields(cls, names: list[str]) -> list[str]:
        for name in names:
            if not all(name.split(".")):
                raise PydanticCustomError(
                    "field_name", "names of fields, dotted where they are nested: `email`, `address.street`"
                )
        return names

    @field_validator("order_by")
    @classmethod
    def _names_there(cls, names: list[str]) -> list[str]:
        if not all(names):
            raise PydanticCustomError("field_name", "names of fields, e.g. `customer_id`")
        return names

    @field_validator("version", mode="before")
    @classmethod
    def _version_is_text(cls, value: Any) -> Any:
        return str(value) if isinstance(value, int | float) else value

    @field_validator("name")
    @classmethod
    def _routable(cls, value: str) -> str:
        if not _NAME.match(value):
            raise PydanticCustomError(
                "pipeline_name", "a name of at most 100 lower case letters, digits, `_` and `-`, first a letter"
            )
        return value


def models_of(pipeline: Pipeline) -> list[str]:
    """Return every model that a pipeline names."""
    return [model for _, model in models_in({"transform": pipeline.transform, "evaluate": pipeline.evaluate})]
