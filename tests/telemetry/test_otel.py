from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

pytest.importorskip("opentelemetry.sdk")

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import (
    InMemorySpanExporter,
)
from opentelemetry.trace import StatusCode

import zlab
from zlab.errors import ChunkReadError, MissingExtraError
from zlab.stores.memory import MemoryStore
from zlab.telemetry import PipelineStop, otel
from zlab.telemetry.hub import hub
from zlab.testing import Fault, FaultStore

if TYPE_CHECKING:
    from collections.abc import Iterator

    from opentelemetry.sdk.trace import ReadableSpan


class Exported:
    def __init__(self) -> None:
        self._spans = InMemorySpanExporter()
        self.tracers = TracerProvider()
        self.tracers.add_span_processor(SimpleSpanProcessor(self._spans))
        self._metrics = InMemoryMetricReader()
        self.meters = MeterProvider(metric_readers=[self._metrics])

    @property
    def spans(self) -> list[ReadableSpan]:
        return list(self._spans.get_finished_spans())

    def metrics(self) -> dict[str, list[Any]]:
        data = self._metrics.get_metrics_data()
        assert data is not None
        return {
            metric.name: list(metric.data.data_points)
            for resource in data.resource_metrics
            for scope in resource.scope_metrics
            for metric in scope.metrics
        }


@pytest.fixture
def exported() -> Iterator[Exported]:
    exported = Exported()
    with otel.instrument(tracer_provider=exported.tracers, meter_provider=exported.meters):
        yield exported
    assert not hub.active
    exported.tracers.shutdown()
    exported.meters.shutdown()


def sparse() -> MemoryStore:
    store = MemoryStore()
    data = np.arange(1, 65, dtype="<i4")
    data[8:16] = 0
    zlab.create_array(store, data=data, chunks=8, compressors=None)
    return store


def test_reads_and_writes_are_spans_below_the_current_one(exported: Exported) -> None:
    array = zlab.create_array(MemoryStore(), path="x", shape=64, chunks=8, dtype="i4")
    with exported.tracers.get_tracer("test").start_as_current_span("mine") as mine:
        array[...] = 1
        array[0:20]
    write, read, _ = exported.spans
    assert (write.name, read.name) == ("zlab.array.write", "zlab.array.read")
    for span in (write, read):
        assert span.parent is not None
        assert span.parent.span_id == mine.get_span_context().span_id
        assert span.start_time is not None
        assert span.end_time is not None
        assert span.start_time < span.end_time
        assert span.status.status_code is StatusCode.UNSET
    assert read.attributes is not None
    assert read.attributes["zlab.path"] == "x"
    assert (read.attributes["zlab.nchunks"], read.attributes["zlab.nbytes"]) == (3, 80)


def test_a_read_that_fails_is_a_span_with_an_error(exported: Exported) -> None:
    array = zlab.open_array(FaultStore(sparse(), [Fault("get", "c/3")]))
    with pytest.raises(ChunkReadError):
        array[24:32]
    (read,) = (span for span in exported.spans if span.name == "zlab.array.read")
    assert read.status.status_code is StatusCode.ERROR
    assert "ChunkReadError" in (read.status.description or "")
    (errors,) = exported.metrics()["zlab.errors"]
    assert (errors.value, errors.attributes["zlab.operation"]) == (1, "read")


def test_streams_and_pipelines_are_spans(exported: Exported) -> None:
    array = zlab.open_array(sparse())
    list(array.stream_chunks())
    with array.stream_chunks() as stream:
        next(iter(stream))
    hub.emit(PipelineStop(7, 3, 1, 0.5, "failed", "ValueError: no"))
    spans = [span for span in exported.spans if span.name in ("zlab.stream", "zlab.pipeline")]
    outcomes = [(span.attributes or {})["zlab.outcome"] for span in spans]
    assert outcomes == ["exhausted", "closed", "failed"]
    assert spans[2].status.status_code is StatusCode.ERROR


def test_chunks_are_counted(exported: Exported) -> None:
    array = zlab.open_array(sparse(), cache=1 << 20)
    exported.metrics()
    array[0:32]
    array[0:32]
    metrics = exported.metrics()
    reads = {
        point.attributes["zlab.stored"]: point.value
        for point in metrics["zlab.chunks"]
        if point.attributes["zlab.operation"] == "read"
    }
    assert reads == {True: 3, False: 2}
    stored = [p for p in metrics["zlab.stored.io"] if p.attributes["zlab.operation"] == "read"]
    assert [(point.value, point.attributes["zlab.codecs"]) for point in stored] == [(96, "bytes")]
    took = [p for p in metrics["zlab.store.duration"] if p.attributes["zlab.operation"] == "read"]
    assert [point.count for point in took] == [3]
    assert {p.attributes["zlab.hit"]: p.value for p in metrics["zlab.cache.lookups"]} == {
        True: 3,
        False: 5,
    }


def test_nothing_is_handed_on_when_it_is_closed() -> None:
    exported = Exported()
    instrumentation = otel.instrument(
        tracer_provider=exported.tracers, meter_provider=exported.meters
    )
    instrumentation.close()
    zlab.open_array(sparse())[...]
    assert exported.spans == []
    assert not hub.active


def test_without_opentelemetry_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry", None)
    monkeypatch.delitem(sys.modules, "zlab.telemetry.otel")
    with pytest.raises(MissingExtraError, match=r"zlab\[otel\]"):
        importlib.import_module("zlab.telemetry.otel")
