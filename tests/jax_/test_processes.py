"""Loaders of two and four real processes under `jax.distributed`, with two devices each."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import zlab

if TYPE_CHECKING:
    from collections.abc import Mapping

jax = pytest.importorskip("jax")

PROGRAM = Path(__file__).with_name("one_of_several.py")
N = 128
ROWS: dict[str, Any] = {
    "mesh": [-1, 1],
    "specs": {"images": ["rows", None], "labels": ["rows"]},
}
OPTIONS = {"batch_size": 16, "seed": 5, "drop_remainder": True}
SHUFFLES = ("none", "window", "global")

Results = dict[str, list[dict[str, Any]]]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Images that say their label and their columns, in chunks of 8 x 4, and the labels."""
    path = str(tmp_path_factory.mktemp("processes") / "samples.zarr")
    group = zlab.create_group(path)
    labels = np.arange(N, dtype="int32")
    images = (1000 * labels[:, None] + np.arange(16)).astype("float32")
    group.create_array("images", data=images, chunks=(8, 4))
    group.create_array("labels", data=labels, chunks=8)
    return path


def started(store: str, processes: int, tasks: Mapping[str, dict[str, Any]]) -> Results:
    """What each of the processes tells of each task."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    told = {"address": address, "processes": processes, "store": store}
    begun = [
        subprocess.Popen(
            [
                sys.executable,
                str(PROGRAM),
                json.dumps(told | {"process": process, "tasks": list(tasks.values())}),
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for process in range(processes)
    ]
    try:
        outputs = [process.communicate(timeout=120) for process in begun]
    finally:
        for process in begun:
            process.kill()
    for process, (_, errors) in zip(begun, outputs, strict=True):
        assert process.returncode == 0, errors
    by_process = [json.loads(output.split("RESULT", 1)[1]) for output, _ in outputs]
    return dict(zip(tasks, map(list, zip(*by_process, strict=True)), strict=True))


def union(results: list[dict[str, Any]]) -> Counter[int]:
    return Counter(row for one in results for batch in one["seen"] for row in batch)


@pytest.fixture(scope="module")
def four(store: str) -> Results:
    tasks: dict[str, dict[str, Any]] = {
        shuffle: ROWS | {"options": OPTIONS | {"shuffle": shuffle}} for shuffle in SHUFFLES
    }
    for shuffle in SHUFFLES:
        tasks[f"{shuffle}, begun"] = tasks[shuffle] | {"nbatches": 2}
    tasks["crops"] = {
        "mesh": [2, 4],
        "specs": {"images": ["rows", "columns"], "labels": ["rows"]},
        "options": OPTIONS | {"shuffle": "window"},
    }
    tasks["replicated"] = {
        "mesh": [8, 1],
        "specs": {"images": [], "labels": []},
        "options": {"batch_size": 15, "seed": 5, "shuffle": "global"},
    }
    tasks["without a seed"] = ROWS | {
        "options": {"batch_size": 16, "shuffle": "window", "drop_remainder": True}
    }
    tasks["with a remainder"] = ROWS | {"options": {"batch_size": 32, "shuffle": "none"}}
    tasks["too few lanes"] = ROWS | {"options": OPTIONS | {"shuffle": "window", "lanes": 6}}
    return started(store, 4, tasks)


@pytest.fixture(scope="module")
def two(store: str, four: Results) -> Results:
    tasks = {
        shuffle: ROWS
        | {
            "options": OPTIONS | {"shuffle": shuffle, "batch_size": 8},
            "state": four[f"{shuffle}, begun"][0]["state"],
        }
        for shuffle in SHUFFLES
    }
    return started(store, 2, tasks)


@pytest.mark.parametrize("shuffle", SHUFFLES)
def test_processes_share_the_samples_of_an_epoch(four: Results, shuffle: str) -> None:
    results = four[shuffle]
    assert union(results) == Counter(range(N))
    assert [one["length"] for one in results] == [8] * 4
    for one in results:
        assert [len(batch) for batch in one["seen"]] == [4] * 8
        assert one["shapes"] == [{"images": [16, 16], "labels": [16]}] * 8
        # a sum over all devices is the same everywhere, and of all that they hold
        assert one["sums"] == results[0]["sums"]
    for number, total in enumerate(results[0]["sums"]):
        assert total == sum(sum(one["seen"][number]) for one in results)


def test_in_order_each_process_reads_its_rows_of_each_batch(four: Results) -> None:
    for process, one in enumerate(four["none"]):
        first = [16 * batch + 4 * process for batch in range(8)]
        assert one["seen"] == [list(range(row, row + 4)) for row in first]
        chunks = sorted({row // 8 for row in first})
        labels = [["labels", [chunk]] for chunk in chunks]
        images = [["images", [chunk, column]] for chunk in chunks for column in range(4)]
        assert one["reads"] == sorted(labels + images)


def test_in_windows_each_chunk_is_read_by_one_process_once(four: Results) -> None:
    reads = [(path, tuple(at)) for one in four["window"] for path, at in one["reads"]]
    wanted: list[tuple[str, tuple[int, ...]]] = [("labels", (chunk,)) for chunk in range(16)]
    wanted += [("images", (chunk, column)) for chunk in range(16) for column in range(4)]
    assert Counter(reads) == Counter(wanted)


def test_processes_that_hold_columns_read_only_those(four: Results) -> None:
    results = four["crops"]
    assert union(results) == Counter(dict.fromkeys(range(N), 2))
    assert results[0]["seen"] == results[1]["seen"]
    assert results[2]["seen"] == results[3]["seen"]
    for process, one in enumerate(results):
        assert [len(batch) for batch in one["seen"]] == [8] * 8
        images = Counter(tuple(at) for path, at in one["reads"] if path == "images")
        labels = Counter(tuple(at) for path, at in one["reads"] if path == "labels")
        columns = (0, 1) if process % 2 == 0 else (2, 3)
        assert len(labels) == 8
        assert set(images) == {(chunk, column) for (chunk,) in labels for column in columns}
        assert {*images.values(), *labels.values()} == {1}


def test_replicated_batches_are_the_same_everywhere(four: Results) -> None:
    results = four["replicated"]
    assert all(one["seen"] == results[0]["seen"] for one in results)
    assert [len(batch) for batch in results[0]["seen"]] == [15] * 8 + [8]
    assert union(results[:1]) == Counter(range(N))


def test_the_state_is_the_same_on_all_processes(four: Results) -> None:
    for shuffle in SHUFFLES:
        states = [one["state"] for one in four[f"{shuffle}, begun"]]
        assert states == [states[0]] * 4
        assert len(json.dumps(states[0])) < 1000


@pytest.mark.parametrize("shuffle", SHUFFLES)
def test_what_four_have_begun_two_go_on_with(four: Results, two: Results, shuffle: str) -> None:
    begun, rest = four[f"{shuffle}, begun"], two[shuffle]
    assert sum(union(begun).values()) == 32
    assert [len(one["seen"]) for one in rest] == [12, 12]
    assert union(begun) + union(rest) == Counter(range(N))


@pytest.mark.parametrize("shuffle", SHUFFLES)
def test_what_four_have_begun_one_goes_on_with(four: Results, store: str, shuffle: Any) -> None:
    begun = four[f"{shuffle}, begun"]
    labels = zlab.open_group(store).array("labels")
    images = zlab.open_group(store).array("images")
    loader = zlab.jax.Loader(
        {"images": images, "labels": labels}, batch_size=7, seed=5, shuffle=shuffle
    )
    loader.set_state(begun[0]["state"])
    rest = Counter(int(label) for batch in loader for label in batch["labels"])
    assert union(begun) + rest == Counter(range(N))


@pytest.mark.long
def test_what_four_have_begun_eight_go_on_with_and_three_cannot(four: Results, store: str) -> None:
    tasks: dict[str, dict[str, Any]] = {
        shuffle: ROWS
        | {
            "options": OPTIONS | {"shuffle": shuffle},
            "state": four[f"{shuffle}, begun"][0]["state"],
        }
        for shuffle in SHUFFLES
    }
    of_eight = started(store, 8, tasks)
    for shuffle in SHUFFLES:
        assert union(four[f"{shuffle}, begun"]) + union(of_eight[shuffle]) == Counter(range(N))
    for task in tasks.values():
        task["options"] = task["options"] | {"batch_size": 12}
    of_three = started(store, 3, tasks)
    assert all("3 hosts do not divide the 16 lanes" in one["error"] for one in of_three["window"])
    for shuffle in ("none", "global"):
        assert union(four[f"{shuffle}, begun"]) + union(of_three[shuffle]) == Counter(range(N))


def test_what_processes_cannot_agree_on_is_an_error(four: Results) -> None:
    for one in four["without a seed"]:
        assert "pass seed=, the same to all" in one["error"]
    for one in four["with a remainder"]:
        assert "pass drop_remainder=True" in one["error"]
    for one in four["too few lanes"]:
        assert "lanes" in one["error"]
