"""The source under grain's own loaders: exact samples, workers, checkpoints."""

from __future__ import annotations

import json
import pickle
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import zlab
from zlab.errors import ChunkReadError, StoreError
from zlab.samples.source import SourceReport
from zlab.stores.memory import MemoryStore
from zlab.testing import CountingStore, Fault, FaultStore

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.needs("grain")

N = 45
IMAGES = np.arange(N * 3 * 2, dtype="float32").reshape(N, 3, 2)


@pytest.fixture
def source(tmp_path: Path) -> zlab.grain.Source:
    """Images and their labels, which say their number, in a store that workers can open."""
    group = zlab.create_group(tmp_path / "data.zarr")
    group.create_array("image", data=IMAGES, chunks=(7, 3, 2))
    group.create_array("label", data=np.arange(N), chunks=10)
    return zlab.grain.Source(group)


def check(batch: dict[str, Any]) -> list[int]:
    """The labels of a batch, whose images belong to them."""
    labels: list[int] = batch["label"].tolist()
    np.testing.assert_array_equal(batch["image"], IMAGES[labels])
    return labels


def test_it_is_what_grain_takes(source: zlab.grain.Source) -> None:
    import grain

    assert isinstance(source, grain.sources.RandomAccessDataSource)
    assert len(source) == N
    sample = source[np.int64(9)]
    assert sample["label"] == 9
    np.testing.assert_array_equal(sample["image"], IMAGES[9])
    assert [int(sample["label"]) for sample in source] == list(range(N))
    for number in (-1, N):
        with pytest.raises(IndexError, match=f"there is no sample {number} of {N}"):
            source[number]


@pytest.mark.parametrize("shuffled", [False, True])
def test_the_dataset_interface(source: zlab.grain.Source, shuffled: bool) -> None:
    import grain

    dataset = grain.MapDataset.source(source)
    if shuffled:
        dataset = dataset.shuffle(seed=3)
    batches = list(dataset.batch(8))
    assert [len(batch["label"]) for batch in batches] == [8] * 5 + [5]
    seen = [label for batch in batches for label in check(batch)]
    assert sorted(seen) == list(range(N))
    assert (seen == list(range(N))) is not shuffled
    # 7 chunks of images and 5 of labels, each decoded once though the order is global
    assert source.report() == SourceReport(nsamples=N, ndecoded=12)


def test_grains_reading_threads_share_the_decoded_chunks(source: zlab.grain.Source) -> None:
    import grain

    dataset = grain.MapDataset.source(source).shuffle(seed=3).repeat(3).to_iter_dataset()
    labels = [label for batch in dataset.batch(9) for label in check(batch)]
    assert sorted(labels) == sorted(list(range(N)) * 3)
    assert source.report() == SourceReport(nsamples=3 * N, ndecoded=12)


def test_batches_that_grain_pushes_down(source: zlab.grain.Source) -> None:
    import grain

    dataset = grain.MapDataset.source(source).shuffle(seed=1)
    one_by_one = [dataset[i] for i in range(10)]
    together = dataset._getitems(range(10))
    assert [int(sample["label"]) for sample in together] == [
        int(sample["label"]) for sample in one_by_one
    ]
    for sample in together:
        np.testing.assert_array_equal(sample["image"], IMAGES[sample["label"]])


def loader(source: zlab.grain.Source, workers: int, epochs: int = 1) -> Any:
    import grain
    from absl import flags

    # what `absl.app.run` does; grain asks for a flag before it starts workers
    flags.FLAGS.mark_as_parsed()
    return grain.DataLoader(
        data_source=source,
        sampler=grain.samplers.IndexSampler(
            num_records=len(source),
            shard_options=grain.sharding.NoSharding(),
            shuffle=True,
            num_epochs=epochs,
            seed=4,
        ),
        operations=[grain.transforms.Batch(batch_size=8)],
        worker_count=workers,
    )


@pytest.mark.parametrize("workers", [0, 2])
def test_the_data_loader_with_a_checkpoint(source: zlab.grain.Source, workers: int) -> None:
    batches = iter(loader(source, workers))
    begun = [check(next(batches)) for _ in range(2)]
    state = batches.get_state()
    rest = [check(batch) for batch in batches]
    seen = [label for labels in begun + rest for label in labels]
    assert sorted(seen) == list(range(N))
    assert seen != list(range(N))
    # where workers read, the source of this process does not
    assert source.report().nsamples == (0 if workers else N)

    resumed = iter(loader(source, workers))
    resumed.set_state(state)
    assert [check(batch) for batch in resumed] == rest


def test_a_checkpoint_belongs_to_what_the_samples_are(
    source: zlab.grain.Source, tmp_path: Path
) -> None:
    begun = iter(loader(source, 0))
    next(begun)
    state = begun.get_state()
    assert repr(source) in json.loads(state)["data_source"]
    # the same arrays elsewhere
    zlab.copy(tmp_path / "data.zarr", tmp_path / "moved.zarr")
    moved = zlab.grain.Source(zlab.open_group(tmp_path / "moved.zarr"))
    iter(loader(moved, 0)).set_state(state)
    other = zlab.grain.Source(zlab.open_group(tmp_path / "data.zarr")["label"])
    with pytest.raises(ValueError, match="DataSource in checkpoint does not match"):
        iter(loader(other, 0)).set_state(state)


def test_the_repr_says_what_a_sample_is(source: zlab.grain.Source) -> None:
    assert repr(source) == (
        "zlab.grain.Source(45 samples, axis=None, windows=None, overlap=None, "
        "arrays['image']: 'image' (45, 3, 2) float32, arrays['label']: 'label' (45,) int64)"
    )
    assert repr(pickle.loads(pickle.dumps(source))) == repr(source)  # noqa: S301


def test_a_pickled_source_is_a_description(tmp_path: Path) -> None:
    array = zlab.create_array(tmp_path / "a.zarr", data=np.zeros((1000, 1000)), chunks=(10, 1000))
    source = zlab.grain.Source(array)
    before = len(pickle.dumps(source))
    for number in range(0, 1000, 10):
        source[number]
    assert len(pickle.dumps(source)) == before < 4000


def windows(values: np.ndarray[Any, Any], n: int, step: int) -> Iterator[np.ndarray[Any, Any]]:
    for row in range(0, values.shape[0] - n + 1, step):
        for column in range(0, values.shape[1] - n + 1, step):
            yield values[row : row + n, column : column + n]


def test_patches() -> None:
    import grain

    values = np.arange(11 * 9).reshape(11, 9)
    array = zlab.create_array({}, data=values, chunks=(4, 5), dimension_names=["y", "x"])
    source = zlab.grain.Source(array, windows={"y": 4, "x": 4}, overlap={"y": 2, "x": 2})
    expected = list(windows(values, 4, 2))
    patches = list(grain.MapDataset.source(source))
    np.testing.assert_array_equal(patches, expected)


def test_nothing_is_read_before_a_sample_is_asked_for_and_errors_name_the_chunk() -> None:
    import grain

    counting = CountingStore(FaultStore(MemoryStore(), [Fault("get", "c/1", error=StoreError)]))
    array = zlab.create_array(counting, data=np.arange(9), chunks=3)
    counting.reset()
    dataset = grain.MapDataset.source(zlab.grain.Source((array, [array])))
    assert not counting.counts.keys
    assert dataset[0] == (0, [0])
    with pytest.raises(ChunkReadError, match=r"chunk \(1,\)"):
        dataset[4]
