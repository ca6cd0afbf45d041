"""Records traces by OpenTelemetry, and sends them by OTLP over HTTP. Imported only where tracing is configured.

The ids of a run's trace and of its span are derived from the run's id. So every service knows them without being told,
and all attempts at a run's messages, however they came about, are in one trace. The span of the run itself is recorded
when it ends."""

from __future__ import annotations

import datetime as dt
import hashlib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Span as RecordedSpan
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.trace.sampling import Decision, ParentBased, TraceIdRatioBased
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    StatusCode,
    TraceFlags,
    get_current_span,
    set_span_in_context,
)

from loom_common.config.settings import TracingSettings
from loom_common.ports.tracing import TRACEPARENT, Attributes, RunEnd, SpanReference
from loom_common.ports.tracing import Span as SpanPort

_HEADER = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})")
_LINKS = 128
"""The most links of one span, which is OpenTelemetry's own limit."""
_ids: ContextVar[SpanContext | None] = ContextVar("ids of the span that begins now", default=None)


class OtlpTracer:
    """Implements the port. `close` sends what is still to be sent."""

    def __init__(self, service: str, settings: TracingSettings) -> None:
        self._sampler = TraceIdRatioBased(settings.sample)
        self._provider = TracerProvider(
            sampler=ParentBased(self._sampler),
            resource=Resource.create({"service.name": f"loom-{service}", "service.namespace": "loom"}),
            id_generator=_DerivedIds(),
            shutdown_on_exit=False,
        )
        address = f"{str(settings.endpoint).rstrip('/')}/v1/traces"
        self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=address)))
        self._tracer = self._provider.get_tracer("loom")

    def close(self) -> None:
        """Send what is recorded. It blocks."""
        self._provider.shutdown()

    @contextmanager
    def consumed(
        self, name: str, run_id: str, headers: Mapping[str, object], attributes: Callable[[], Attributes]
    ) -> Iterator[SpanPort]:
        run = self._run(run_id)
        sent_in = _read(headers)
        parent = sent_in if sent_in is not None and sent_in.trace_id == run.trace_id else run
        context = set_span_in_context(NonRecordingSpan(parent), Context())
        with self._begun(name, SpanKind.CONSUMER, attributes(), context) as span:
            yield span

    @contextmanager
    def called(self, name: str, attributes: Callable[[], Attributes]) -> Iterator[SpanPort]:
        with self._begun(name, SpanKind.CLIENT, attributes(), None) as span:
            yield span

    @contextmanager
    def together(self, name: str, headers: Iterable[Mapping[str, object]]) -> Iterator[SpanPort]:
        contexts = [context for each in headers if (context := _read(each)) is not None]
        distinct = {(each.trace_id, each.span_id): each for each in contexts}
        links = [Link(context) for context in distinct.values()][:_LINKS]
        attributes = {"messaging.batch.message_count": len(contexts)}
        with self._begun(name, SpanKind.CONSUMER, attributes, Context(), links) as span:
            yield span

    def failed(self, error: BaseException) -> None:
        _Span(get_current_span()).fail(error)

    def traceparent(self, run_id: str) -> str | None:
        if not run_id:
            return None
        context = self._current(run_id)
        return f"00-{context.trace_id:032x}-{context.span_id:016x}-{int(context.trace_flags):02x}"

    def reference(self, run_id: str) -> SpanReference | None:
        if not run_id:
            return None
        context = self._current(run_id)
        if not context.trace_flags.sampled:
            return None
        return SpanReference(f"{context.trace_id:032x}", f"{context.span_id:016x}")

    def _current(self, run_id: str) -> SpanContext:
        run, current = self._run(run_id), get_current_span().get_span_context()
        return current if current.trace_id == run.trace_id else run

    def run_ended(self, run: RunEnd) -> None:
        attributes = {"loom.run_id": run.run_id, "loom.pipeline": run.pipeline, "loom.status": run.status}
        links = [] if run.replay_of is None else [Link(self._run(run.replay_of), {"loom.link": "replay_of"})]
        token = _ids.set(self._run(run.run_id))
        try:
            span = self._tracer.start_span(
                f"run {run.pipeline}", Context(), attributes=attributes, links=links, start_time=_ns(run.started_at)
            )
        finally:
            _ids.reset(token)
        if run.status == "failed":
            span.set_status(StatusCode.ERROR)
        span.end(_ns(run.ended_at))

    def _run(self, run_id: str) -> SpanContext:
        """Return the context of a run's own span. Each service decides alike whether it is sampled."""
        digest = hashlib.sha256(f"loom/{run_id}".encode()).digest()
        trace_id, span_id = int.from_bytes(digest[:16], "big"), int.from_bytes(digest[16:24], "big")
        sampled = self._sampler.should_sample(None, trace_id, "run").decision is Decision.RECORD_AND_SAMPLE
        return SpanContext(trace_id, span_id, is_remote=True, trace_flags=TraceFlags(int(sampled)))

    @contextmanager
    def _begun(
        self,
        name: str,
        kind: SpanKind,
        attributes: Attributes,
        context: Context | None,
        links: list[Link] | None = None,
    ) -> Iterator[SpanPort]:
        with self._tracer.start_as_current_span(
            name,
            context,
            kind,
            attributes=attributes,
            links=links,
            record_exception=False,
            set_status_on_exception=False,
        ) as begun:
            span = _Span(begun)
            try:
                yield span
            except Exception as error:
                span.fail(error)
                raise


class _Span:
    def __init__(self, span: object) -> None:
        self._span = span

    def set(self, attributes: Callable[[], Attributes]) -> None:
        if isinstance(self._span, RecordedSpan):
            self._span.set_attributes(attributes())

    def fail(self, error: BaseException) -> None:
        if isinstance(self._span, RecordedSpan):
            self._span.set_attribute("error.type", type(error).__name__)
            self._span.set_status(StatusCode.ERROR)


class _DerivedIds(RandomIdGenerator):
    """Gives a run's span the ids that its run has, and others random ones."""

    def generate_trace_id(self) -> int:
        return super().generate_trace_id() if (run := _ids.get()) is None else run.trace_id

    def generate_span_id(self) -> int:
        return super().generate_span_id() if (run := _ids.get()) is None else run.span_id


def _read(headers: Mapping[str, object]) -> SpanContext | None:
    """Return the span that a message was sent in; None where it does not say, or not as the standard does."""
    found = _HEADER.fullmatch(str(headers.get(TRACEPARENT, "")))
    if found is None:
        return None
    trace, span, flags = (int(each, 16) for each in found.groups())
    return SpanContext(trace, span, is_remote=True, trace_flags=TraceFlags(flags & 1))


def _ns(moment: dt.datetime) -> int:
    return int(moment.timestamp() * 1_000_000) * 1000
