from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from zlab.kernel.messages import (
    Open,
    Renew,
    SetRate,
    format_frame,
    format_hello,
    parse_page_message,
)
from zlab.telemetry import ArrayTraffic, Snapshot, Totals

WIRE = Path(__file__).parent.parent / "wire"


def load(name: str) -> dict[str, Any]:
    golden: dict[str, Any] = json.loads((WIRE / f"{name}.json").read_text(encoding="utf-8"))
    return golden


def test_what_a_page_says() -> None:
    assert [parse_page_message(value) for value in load("open")["accept"]] == [Open(5), Open(0.5)]
    assert [parse_page_message(value) for value in load("renew")["accept"]] == [Renew()]
    assert [parse_page_message(value) for value in load("set")["accept"]] == [
        SetRate(2),
        SetRate(10),
    ]


@pytest.mark.parametrize("name", ["open", "renew", "set"])
def test_what_is_refused(name: str) -> None:
    for case in load(name)["refuse"]:
        try:
            message = parse_page_message(case["value"])
        except ValueError:
            continue
        # a message of another kind is one, and not the one that was waited for
        assert case["why"] == "another message"
        assert type(message) is not Open


@pytest.mark.parametrize(
    "data", [None, [], "renew", {}, {"zlab": "renew"}, {"zlab": "renew", "v": "1"}]
)
def test_what_is_no_message(data: object) -> None:
    with pytest.raises(ValueError, match=r"object|version"):
        parse_page_message(data)


def test_rates_have_bounds() -> None:
    def hz(value: float) -> float:
        message = parse_page_message({"zlab": "set", "v": 1, "hz": value})
        assert isinstance(message, SetRate)
        return message.hz

    assert [hz(value) for value in (1e-9, 0.2, 3, 10, 1e9, float("inf"))] == [
        0.2,
        0.2,
        3,
        10,
        10,
        10,
    ]
    with pytest.raises(ValueError, match="hz"):
        hz(float("nan"))


def test_hello() -> None:
    (golden,) = load("hello")["accept"]
    assert format_hello(golden["session"]) == golden


def test_frames() -> None:
    for golden in load("frame")["accept"]:
        snapshot = Snapshot(
            t=1e6,
            totals=Totals(**golden["totals"]),
            in_flight=golden["in_flight"],
            latency=tuple(golden["latency"]),
            top=tuple(ArrayTraffic(**traffic) for traffic in golden["top"]),
        )
        frame = format_frame(snapshot, golden["session"], golden["seq"], golden["t"])
        assert frame == golden
        assert list(frame) == list(golden)
        assert len(json.dumps(frame)) < 2000
