"""OpenTelemetry: spans of reads, writes, streams and pipelines, and metrics of chunks.

A span is made when its work is over, with the times at which it began and ended; its parent is the
span that is current where the work was called. What a process exports, and where to, is for the
application to set up with the OpenTelemetry SDK.

Example:
    >>> import numpy as np, zlab
    >>> from zlab.telemetry import otel  # doctest: +SKIP
    >>> with otel.instrument():  # doctest: +SKIP
    ...     zlab.open_array("demo/digits.zarr", path="images")[...]
"""

from __future__ import annotations

import time
from contextlib import ExitStack
from dataclasses import fields
from typing import TYPE_CHECKING, Any, Self, TypeAlias

from zlab.errors import MissingExtraError
from zlab.telemetry.events import (
    ABSENT,
    ArrayRead,
    ArrayWrite,
    CacheRun,
    ChunkFailed,
    ChunkRun,
    ItemRetry,
    PipelineStop,
    StoreRetry,
    StreamStop,
)
from zlab.telemetry.hub import hub

try:
    from opentelemetry import metrics, trace
except ImportError as error:
    raise MissingExtraError("opentelemetry-api", "otel", "zlab.telemetry.otel") from error

if TYPE_CHECKING:
    from types import TracebackType

    from opentelemetry.metrics import MeterProvider
    from opentelemetry.trace import TracerProvider

__all__ = ["Instrumentation", "instrument"]

_Ended: TypeAlias = ArrayRead | ArrayWrite | StreamStop | PipelineStop

_SPANS: tuple[tuple[type[_Ended], str], ...] = (
    (ArrayRead, "zlab.array.read"),
    (ArrayWrite, "zlab.array.write"),
    (StreamStop, "zlab.stream"),
    (PipelineStop, "zlab.pipeline"),
)


def instrument(
    *,
    tracer_provider: TracerProvider | None = None,
    meter_provider: MeterProvider | None = None,
) -> Instrumentation:
    """Hands spans and metrics to OpenTelemetry, until it is closed.

    Args:
        tracer_provider: Makes the spans; the process's by default.
        meter_provider: Takes the metrics; the process's by default.

    Returns:
        A context; close it, or leave it, to end.
    """
    return Instrumentation(
        trace.get_tracer("zlab", tracer_provider=tracer_provider),
        metrics.get_meter("zlab", meter_provider=meter_provider),
    )


class Instrumentation:
    """What hands events on, until it is closed; see `instrument`."""

    def __init__(self, tracer: trace.Tracer, meter: metrics.Meter) -> None:
        self._tracer = tracer
        self._chunks = meter.create_counter(
            "zlab.chunks", "{chunk}", "Chunks read and written, and those that are not stored."
        )
        self._stored = meter.create_counter(
            "zlab.stored.io", "By", "Encoded bytes read from stores and written to them."
        )
        self._decoded = meter.create_counter("zlab.decoded.io", "By", "The same bytes, decoded.")
        self._store_s = meter.create_histogram(
            "zlab.store.duration", "s", "Seconds of fetching or storing a chunk."
        )
        self._codec_s = meter.create_histogram(
            "zlab.codec.duration", "s", "Seconds of decoding or encoding a chunk."
        )
        self._look_ups = meter.create_counter(
            "zlab.cache.lookups", "{lookup}", "Look-ups in caches."
        )
        self._retries = meter.create_counter(
            "zlab.retries", "{retry}", "Requests and items that were tried again."
        )
        self._errors = meter.create_counter(
            "zlab.errors", "{chunk}", "Chunks that could not be read or written."
        )
        with ExitStack() as stack:
            for kind, name in _SPANS:
                stack.enter_context(hub.subscribe(kind, self._span_of(name)))
            stack.enter_context(hub.subscribe(ChunkRun, self._count_chunks))
            stack.enter_context(hub.subscribe(CacheRun, self._count_look_ups))
            stack.enter_context(hub.subscribe(ChunkFailed, self._count_error))
            stack.enter_context(hub.subscribe(StoreRetry, self._count_retry))
            stack.enter_context(hub.subscribe(ItemRetry, self._count_retry))
            self._subscriptions = stack.pop_all()

    def close(self) -> None:
        """Hands nothing on any more."""
        self._subscriptions.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _span_of(self, name: str) -> Any:
        def listen(event: _Ended) -> None:
            end = time.time_ns()
            span = self._tracer.start_span(
                name,
                start_time=end - int(event.duration_s * 1e9),
                attributes={
                    f"zlab.{field.name}": value
                    for field in fields(event)
                    if (value := getattr(event, field.name)) is not None and field.name != "error"
                },
            )
            if event.error is not None or getattr(event, "outcome", None) == "failed":
                span.set_status(trace.StatusCode.ERROR, event.error)
            span.end(end)

        return listen

    def _count_chunks(self, run: ChunkRun) -> None:
        labels = {
            "zlab.store": run.store,
            "zlab.path": run.path,
            "zlab.codecs": run.codecs,
            "zlab.operation": run.operation,
        }
        nabsent = run.nbytes_stored.count(ABSENT)
        if nabsent:
            self._chunks.add(nabsent, labels | {"zlab.stored": False})
        there = len(run.coords) - nabsent
        if not there:
            return
        self._chunks.add(there, labels | {"zlab.stored": True})
        for stored, nbytes, store_s, codec_s in zip(
            run.nbytes_stored, run.nbytes, run.fetch_s, run.decode_s, strict=True
        ):
            if stored != ABSENT:
                self._stored.add(stored, labels)
                self._decoded.add(nbytes, labels)
                self._store_s.record(store_s, labels)
                self._codec_s.record(codec_s, labels)

    def _count_look_ups(self, run: CacheRun) -> None:
        labels = {"zlab.store": run.store, "zlab.path": run.path, "zlab.what": run.what}
        for found, number in ((True, len(run.hits)), (False, len(run.misses))):
            if number:
                self._look_ups.add(number, labels | {"zlab.hit": found})

    def _count_retry(self, _event: StoreRetry | ItemRetry) -> None:
        self._retries.add(1)

    def _count_error(self, event: ChunkFailed) -> None:
        labels = {"zlab.store": event.store, "zlab.path": event.path}
        self._errors.add(1, labels | {"zlab.operation": event.operation})
