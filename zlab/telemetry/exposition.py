"""What was counted, in the text form that Prometheus reads.

Source: Prometheus, "Exposition formats", text-based format 0.0.4.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from zlab.telemetry.aggregate import Aggregator, Traffic

_HELP = {
    "chunks_read": "Chunks that were there and were read.",
    "chunks_absent": "Chunks that are not stored, and were filled in.",
    "chunks_written": "Chunks that were stored.",
    "nbytes_fetched": "Bytes read from stores.",
    "nbytes_decoded": "Bytes that they decoded to.",
    "nbytes_encoded": "Bytes of written chunks before they were encoded.",
    "nbytes_stored": "Bytes written to stores.",
}
_OF_PROCESS = {
    "cache_hits": "Answers that came from a cache.",
    "cache_misses": "Look-ups in a cache that found nothing.",
    "retries": "Requests and items that were tried again.",
    "errors": "Chunks that could not be read or written.",
    "streams_started": "Streams that were asked for a first item.",
    "streams_stopped": "Streams that ended.",
}
_DURATIONS = {
    "fetch": "Seconds of fetching a chunk.",
    "decode": "Seconds of decoding a chunk.",
    "encode": "Seconds of encoding a chunk.",
    "store": "Seconds of storing a chunk.",
}


def exposition(aggregator: Aggregator) -> str:
    """The text: counters and histograms with the labels `store`, `path` and `codecs`."""
    _, totals, traffic = aggregator.traffic()
    labelled = [(_labels(subject._asdict()), counted) for subject, counted in traffic]
    lines: list[str] = []
    for name, text in _HELP.items():
        metric = f"zlab_{_unit(name)}_total"
        lines += [f"# HELP {metric} {text}", f"# TYPE {metric} counter"]
        lines += [f"{metric}{{{labels}}} {counted.totals[name]}" for labels, counted in labelled]
    for name, value in asdict(totals).items():
        if name in _OF_PROCESS:
            metric = f"zlab_{name}_total"
            lines += [f"# HELP {metric} {_OF_PROCESS[name]}", f"# TYPE {metric} counter"]
            lines.append(f"{metric} {value}")
    for name, text in _DURATIONS.items():
        metric = f"zlab_chunk_{name}_seconds"
        lines += [f"# HELP {metric} {text}", f"# TYPE {metric} histogram"]
        for labels, counted in labelled:
            lines += _histogram(metric, labels, counted, name)
    return "\n".join(lines) + "\n"


def _histogram(metric: str, labels: str, counted: Traffic, name: str) -> Iterator[str]:
    histogram = getattr(counted, name)
    if not histogram.count:
        return
    for edge, seen in histogram.octaves():
        yield f'{metric}_bucket{{{labels},le="{edge!r}"}} {seen}'
    yield f'{metric}_bucket{{{labels},le="+Inf"}} {histogram.count}'
    yield f"{metric}_sum{{{labels}}} {histogram.sum_s!r}"
    yield f"{metric}_count{{{labels}}} {histogram.count}"


def _unit(name: str) -> str:
    # by Prometheus's rules the unit ends the name, and is written out
    return f"{name.removeprefix('nbytes_')}_bytes" if name.startswith("nbytes_") else name


def _labels(labels: Mapping[str, str]) -> str:
    return ",".join(f'{name}="{_escaped(value)}"' for name, value in labels.items())


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
