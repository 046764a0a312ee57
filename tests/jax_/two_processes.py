"""One of two processes that hold a tensor together; run by `test_write.py`.

Takes the number of the process, the port of the first and a folder, where it writes down what it
has seen.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import jax
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec

import zlab
from zlab.errors import AlignmentError, NodeExistsError, ZlabError
from zlab.stores.local import LocalStore
from zlab.testing import CountingStore

VALUES = np.arange(16 * 6, dtype="f4").reshape(16, 6)


def main(process: int, port: str, folder: Path) -> dict[str, object]:
    jax.distributed.initialize(f"127.0.0.1:{port}", num_processes=2, process_id=process)
    assert (len(jax.devices()), len(jax.local_devices())) == (4, 2)
    mesh = jax.sharding.Mesh(np.array(jax.devices()), ("rows",))
    sharding = NamedSharding(mesh, PartitionSpec("rows"))  # type: ignore[no-untyped-call]
    seen: dict[str, object] = {}

    source = CountingStore(LocalStore(folder / "source"))
    tensor = zlab.jax.to_array(zlab.open_array(source), sharding=sharding)
    assert not tensor.is_fully_addressable
    seen["read"] = sorted(key for key in source.counts.keys if key.startswith("c/"))

    for name, options in (
        ("auto", {}),
        ("chunks", {"chunks": (2, 5)}),
        ("shards", {"chunks": (1, 3), "shards": (4, 6)}),
    ):
        store = CountingStore(LocalStore(folder / name))
        array = zlab.jax.from_array(tensor, store, **options)  # type: ignore[arg-type]
        seen[name] = array.chunks
        assert (array[...] == VALUES).all(), name

    whole = NamedSharding(mesh, PartitionSpec())  # type: ignore[no-untyped-call]
    everywhere = zlab.jax.to_array(zlab.open_array(source), sharding=whole)
    zlab.jax.from_array(everywhere, folder / "whole", chunks=(5, 5))
    assert (zlab.open_array(folder / "whole")[...] == VALUES).all()

    try:
        zlab.jax.from_array(tensor, folder / "cut", chunks=(3, 6))
    except AlignmentError as error:
        seen["cut"] = [error.what, (folder / "cut").exists()]
    try:
        zlab.jax.from_array(tensor, folder / "auto")
    except NodeExistsError:
        seen["exists"] = "NodeExistsError"
    except ZlabError as error:
        seen["exists"] = error.what

    # each writes its own part of a batch
    target = zlab.open_array(folder / "target", mode="r+")
    report = zlab.jax.write(target, [tensor])
    seen["written"] = [report.written, report.nbytes]
    return seen


if __name__ == "__main__":
    folder = Path(sys.argv[3])
    seen = main(int(sys.argv[1]), sys.argv[2], folder)
    # not to standard output, where the processes tell of how they found each other
    (folder / f"{sys.argv[1]}.json").write_text(json.dumps(seen))
