"""Defines the `monitoring` section of a pipeline file: the budget, the limits that raise alerts, and who receives
them."""

from collections.abc import Iterable, Mapping
from typing import Any, Literal

from pydantic import Field, field_validator
from pydantic_core import PydanticCustomError

from loom_common.domain.section import Mistake, Section, WebLocation, mistake


class LatencySla(Section):
    """Limits the seconds that a record's transform may take."""

    p50: float | None = Field(None, gt=0, description="Seconds for half of the records.")
    p95: float | None = Field(None, gt=0, description="Seconds for 95 of 100 records.")
    p99: float | None = Field(None, gt=0, description="Seconds for 99 of 100 records.")

    @classmethod
    def mistakes(cls, written: Mapping[str, Any]) -> Iterable[Mistake]:
        """At least one of the limits is required."""
        if not any(value is not None for value in written.values()):
            yield mistake((), "nothing_named", "at least one of `p50`, `p95` and `p99`", written)


class QualityThreshold(Section):
    """Demands the scores that a run must reach."""

    min_score: float = Field(ge=0, le=1, description="The least mean score, of every evaluator over the run.")


class AgainstHistory(Section):
    """Limits how far a run may deviate from the pipeline's earlier runs."""

    runs: int = Field(10, ge=1, le=100, description="How many earlier runs count, the newest first.")
    least: int = Field(3, ge=1, le=100, description="With fewer earlier runs than this, no alert is raised.")


class CostSpike(AgainstHistory):
    """Raises an alert where a record costs much more than in earlier runs."""

    factor: float = Field(2.0, gt=1, description="How many times the median cost per record of earlier runs.")


class ScoreDegradation(AgainstHistory):
    """Raises an alert where an evaluator's scores are lower than in earlier runs."""

    drop: float = Field(0.1, gt=0, le=1, description="How far the mean score may lie below that of earlier runs.")


PAGERDUTY = "https://events.pagerduty.com/v2/enqueue"
_NEEDED = {"json": ("webhook",), "slack": ("webhook",), "pagerduty": ("routing_key",), "email": ("server", "sender")}
"""The keys that each format cannot do without."""


class AlertsConfig(Section):
    """Says where alerts are sent. One that cannot be sent is kept in `monitoring_alerts`, and never fails a run."""

    webhook: WebLocation | None = Field(
        None,
        description="An http(s) address, e.g. `${SLACK_WEBHOOK}`. Secret parts are references. For `pagerduty` it is "
        "PagerDuty's own unless said otherwise.",
    )
    format: Literal["json", "slack", "pagerduty", "email"] = Field(
        "json",
        description="`json`: the alert as an object. `slack`: `{text: ...}`, as Slack and its like take it. "
        "`pagerduty`: Events API v2. `email`: by SMTP.",
    )
    routing_key: str | None = Field(
        None, description="For `pagerduty`: the integration key, as a reference: `${PAGERDUTY_KEY}`."
    )
    server: str | None = Field(
        None,
        description="For `email`: `smtps://user:${SMTP_PASSWORD}@mail.example.com`, or `smtp://` with STARTTLS where "
        "the server offers it.",
    )
    sender: str | None = Field(None, description="For `email`: the address that alerts come from.")
    recipients: list[str] = Field([], description="For `email`: the addresses that get them.")

    @property
    def address(self) -> str:
        """Return where alerts are sent, with references in place of secrets."""
        if self.format == "email":
            return self.server or ""
        return self.webhook or PAGERDUTY

    @property
    def texts(self) -> list[str]:
        """Return everything that may hold references."""
        return [each for each in (self.address, self.routing_key) if each]

    @classmethod
    def mistakes(cls, written: Mapping[str, Any]) -> Iterable[Mistake]:
        """Each format needs keys of its own."""
        form = written.get("format", "json")
        for key in _NEEDED.get(form, ()):
            if written.get(key) is None:
                yield mistake((key,), "missing", f"`{key}`, which the format `{form}` needs", written)
        if form == "email" and not written.get("recipients"):
            yield mistake(("recipients",), "missing", "at least one address that gets the e-mail", written)

    @field_validator("webhook")
    @classmethod
    def _secret_stays_out(cls, value: str | None) -> str | None:
        if value is not None and "hooks.slack.com" in value and "${" not in value:
            raise PydanticCustomError("clear_text_secret", "a credential reference: a Slack address is a secret")
        return value

    @field_validator("routing_key")
    @classmethod
    def _key_is_a_reference(cls, value: str | None) -> str | None:
        if value is not None and "${" not in value:
            raise PydanticCustomError("clear_text_secret", "a credential reference: the key is a secret")
        return value

    @field_validator("server")
    @classmethod
    def _password_is_a_reference(cls, value: str | None) -> str | None:
        if value is None or value.startswith("${"):
            return value
        if not value.startswith(("smtp://", "smtps://")):
            raise PydanticCustomError("server", "an address that begins with `smtps://` or `smtp://`")
        before, at, _ = value.partition("://")[2].rpartition("@")
        if at and ":" in before and "${" not in before.partition(":")[2]:
            raise PydanticCustomError("clear_text_secret", "a credential reference in place of the password")
        return value

    @field_validator("sender", "recipients")
    @classmethod
    def _one_line(cls, value: Any) -> Any:
        for each in [value] if isinstance(value, str) else value or ():
            if "@" not in each or not each.isprintable():
                raise PydanticCustomError("address", "an e-mail address")
        return value


class CostPerDay(Section):
    """Limits what a stream may spend in a day."""

    usd: float = Field(gt=0, description="USD for each day, over all windows and versions of the stream.")
    timezone: str = Field("UTC", description="Where a day begins: `Europe/Berlin`.")
    when_spent: Literal["wait", "stop"] = Field(
        "wait",
        description="`wait`: the stream pauses, and goes on by itself when the next day begins. `stop`: it waits for "
        "`loom resume`.",
    )

    @classmethod
    def long_form(cls, written: Any) -> Any:
        return {"usd": written} if isinstance(written, int | float) and not isinstance(written, bool) else written

    @field_validator("timezone")
    @classmethod
    def _is_known(cls, value: str) -> str:
        from zoneinfo import ZoneInfo  # few pipelines name a time zone

        try:
            ZoneInfo(value)
        except (ValueError, LookupError, OSError):
            raise PydanticCustomError("timezone", "the name of a time zone, such as `UTC` or `Europe/Berlin`") from None
        return value


class MonitoringConfig(Section):
    """Says what a run may cost, and when an alert is raised."""

    cost_budget: float | None = Field(
        None,
        gt=0,
        description="USD for one run, or for one window of a stream. No call is made that might pass it: the run "
        "pauses instead.",
    )
    cost_budget_per_day: CostPerDay | None = Field(
        None,
        description="In a stream: `20.00` or `{usd: 20.00, timezone: Europe/Berlin, when_spent: stop}`, for all "
        "windows of a day together. No call is made that might pass it: the stream pauses until the next day begins.",
    )
    quality_threshold: QualityThreshold | None = Field(None, description="`{min_score: 0.7}`.")
    latency_sla: LatencySla | None = Field(
        None,
        description="`{p95: 5.0}`: seconds that a model takes to answer; without one, that the transform takes for a "
        "record. The time that a record waits for its turn does not count.",
    )
    cost_spike: CostSpike | None = Field(
        None, description="`2.0` or `{factor: 2.0, runs: 10, least: 3}`: against the pipeline's own history."
    )
    score_degradation: ScoreDegradation | None = Field(
        None, description="`0.1` or `{drop: 0.1, runs: 10, least: 3}`: against the pipeline's own history."
    )
    alerts: AlertsConfig | None = Field(None, description="Where alerts are sent. They are always recorded.")

    @field_validator("cost_spike", mode="before")
    @classmethod
    def _factor(cls, value: Any) -> Any:
        return {"factor": value} if isinstance(value, int | float) and not isinstance(value, bool) else value

    @field_validator("score_degradation", mode="before")
    @classmethod
    def _drop(cls, value: Any) -> Any:
        return {"drop": value} if isinstance(value, int | float) and not isinstance(value, bool) else value

    @property
    def watches(self) -> bool:
        """Tell whether anything but the cost is monitored."""
        return any((self.quality_threshold, self.latency_sla, self.cost_spike, self.score_degradation))
