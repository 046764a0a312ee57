"""One of several processes under `jax.distributed`: runs what it is told to, and prints JSON.

It is started by `test_processes.py`, with two CPU devices, as `python one_of_several.py <JSON>`.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

os.environ["JAX_PLATFORMS"] = "cpu"
os.environ["XLA_FLAGS"] = "--xla_force_host_platform_device_count=2"

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

import zlab
from zlab.errors import ZlabError
from zlab.telemetry import capture


def main() -> None:
    told = json.loads(sys.argv[1])
    jax.distributed.initialize(told["address"], told["processes"], told["process"])
    assert jax.process_count() == told["processes"]
    group = zlab.open_group(told["store"])
    results = [run(group, **task) for task in told["tasks"]]
    print("RESULT" + json.dumps(results), flush=True)  # noqa: T201  to whoever started it
    leave: Any = jax.distributed.shutdown  # untyped
    leave()


def run(
    group: zlab.Group,
    mesh: list[int],
    specs: dict[str, list[str | None]],
    options: dict[str, Any],
    state: dict[str, Any] | None = None,
    nbatches: int | None = None,
) -> dict[str, Any]:
    """Some batches of a loader: what this process's devices hold, and what was read for it.

    Args:
        group: Of the arrays.
        mesh: Devices along the axes `"rows"` and `"columns"`.
        specs: For each array, the axes that it is cut over.
        options: Of the loader.
        state: To go on from.
        nbatches: To end after.
    """
    devices = Mesh(np.asarray(jax.devices()).reshape(mesh), ("rows", "columns"))
    spec: Any = PartitionSpec  # untyped
    shardings = {name: NamedSharding(devices, spec(*at)) for name, at in specs.items()}
    arrays = {name: group.array(name) for name in specs}
    try:
        loader = zlab.jax.Loader(arrays, sharding=shardings, **options)
        if state is not None:
            loader.set_state(state)
    except (ValueError, ZlabError) as error:
        return {"error": str(error)}
    total = jax.jit(lambda x: x.astype("int32").sum())
    seen: list[list[int]] = []
    sums: list[int] = []
    shapes: list[dict[str, list[int]]] = []
    with capture("chunk.read") as captured, loader:
        for batch in loader:
            rows = {
                int(row)
                for shard in batch["labels"].addressable_shards
                for row in np.asarray(shard.data)
            }
            seen.append(sorted(rows))
            check(batch)
            # over all processes: each has the same global array
            sums.append(int(total(batch["labels"])))
            shapes.append({name: list(part.shape) for name, part in batch.items()})
            if len(seen) == nbatches:
                break
    reads = [(event.path, event.coords) for event in captured.events]
    return {
        "seen": seen,
        "sums": sums,
        "shapes": shapes,
        "reads": sorted(reads),
        "state": loader.get_state(),
        "length": len(loader),
    }


def check(batch: dict[str, jax.Array]) -> None:
    """An image says its label and its columns: `1000 * label + column`."""
    if "images" not in batch:
        return
    labels = {
        row: value
        for shard in batch["labels"].addressable_shards
        for row, value in zip(
            range(*shard.index[0].indices(batch["labels"].shape[0])),
            np.asarray(shard.data).tolist(),
            strict=True,
        )
    }
    for shard in batch["images"].addressable_shards:
        rows, columns = (
            range(*part.indices(n))
            for part, n in zip(shard.index, batch["images"].shape, strict=True)
        )
        wanted = [[1000 * labels[row] + column for column in columns] for row in rows]
        assert np.asarray(shard.data).tolist() == wanted


if __name__ == "__main__":
    main()
