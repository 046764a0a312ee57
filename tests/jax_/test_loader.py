from __future__ import annotations

import asyncio
import json
import pickle
import random
from collections import Counter
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import zlab
from zlab.errors import ChunkReadError, DataTypeError, MemoryBudgetError
from zlab.samples import stream_samples
from zlab.stores.memory import MemoryStore
from zlab.telemetry import capture
from zlab.testing import CountingStore

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

jax = pytest.importorskip("jax")

from zlab.jax import Loader  # noqa: E402  not without jax
from zlab.jax.loader import _tell_left_out  # noqa: E402

SHUFFLES: tuple[Any, ...] = ("none", "window", "global")


def negated(batch: dict[str, Any]) -> dict[str, Any]:
    return {name: -part for name, part in batch.items()}


class Pair(NamedTuple):
    image: Any
    label: Any


@pytest.fixture
def store() -> CountingStore:
    return CountingStore(MemoryStore())


@pytest.fixture
def group(store: CountingStore) -> zlab.Group:
    """Images of 4 x 4 that say their index, and labels that do: 100."""
    group = zlab.create_group(store)
    values = np.repeat(np.arange(100, dtype="float32"), 16).reshape(100, 4, 4)
    names = ("sample", "y", "x")
    group.create_array("images", data=values, chunks=(8, 2, 4), dimension_names=names)
    group.create_array("labels", data=np.arange(100, dtype="int32"), chunks=8)
    store.reset()
    return group


@pytest.fixture
def labels(group: zlab.Group) -> zlab.Array:
    return group.array("labels")


def epoch(loader: Any) -> list[list[int]]:
    """The samples of each batch."""
    return [np.asarray(jax.tree.leaves(batch)[-1]).tolist() for batch in loader]


def flat(batches: list[list[int]]) -> list[int]:
    return [sample for batch in batches for sample in batch]


# -- what a batch is


def test_a_batch_is_the_pytree_of_the_arrays(group: zlab.Group) -> None:
    images, labels = group.array("images"), group.array("labels")
    (batch,) = Loader(images, batch_size=100)
    assert isinstance(batch, jax.Array)
    ((x, y),) = Loader(images, labels, batch_size=100)
    assert (x.shape, y.shape) == ((100, 4, 4), (100,))
    (batch,) = Loader(group, batch_size=100)
    assert list(batch) == ["images", "labels"]
    (batch,) = Loader({"a": [images, (labels,)]}, batch_size=100)
    assert jax.tree.map(lambda part: part.shape, batch) == {"a": [(100, 4, 4), ((100,),)]}
    (batch,) = Loader(Pair(images, labels), batch_size=100)
    assert isinstance(batch, Pair)
    ((inputs, y),) = Loader({"image": images}, labels, batch_size=100)
    assert list(inputs) == ["image"]
    assert y.tolist() == list(range(100))


def test_samples_along_another_axis_by_its_name(group: zlab.Group) -> None:
    batches = list(Loader(group.array("images"), batch_size=3, axis="y"))
    assert [batch.shape for batch in batches] == [(3, 100, 4), (1, 100, 4)]
    assert batches[0][2, :, 0].tolist() == list(range(100))


def test_windows_are_patches(group: zlab.Group) -> None:
    series = group.create_array("series", data=np.arange(20, dtype="int32"), chunks=6)
    (batch,) = Loader(series, batch_size=9, windows={0: 4}, overlap={0: 2})
    assert batch.tolist() == [list(range(start, start + 4)) for start in range(0, 17, 2)]
    patches = Loader(group.array("images"), batch_size=8, axis="sample", windows={"y": 2, "x": 2})
    assert (len(patches), next(iter(patches)).shape) == (50, (8, 2, 2))


def test_a_dtype_for_all_or_one_for_each(group: zlab.Group) -> None:
    (batch,) = Loader(group, batch_size=100, dtype="float16")
    assert {str(part.dtype) for part in batch.values()} == {"float16"}
    (batch,) = Loader(group, batch_size=100, dtype={"images": "bfloat16", "labels": None})
    assert [str(part.dtype) for part in batch.values()] == ["bfloat16", "int32"]
    with pytest.raises(ValueError, match="dtype must be one value for all, or a pytree like the"):
        Loader(group, batch_size=100, dtype=("float16", "float16"))


# -- orders


@pytest.mark.parametrize("shuffle", SHUFFLES)
@pytest.mark.parametrize("prefetch", [0, 1, 3])
def test_each_epoch_has_each_sample_once(group: zlab.Group, shuffle: Any, prefetch: int) -> None:
    loader = Loader(group, batch_size=32, shuffle=shuffle, seed=4, prefetch=prefetch)
    assert len(loader) == 4
    orders = []
    for _ in range(3):
        order = []
        for batch in loader:
            images = np.asarray(batch["images"])
            assert (images == np.asarray(batch["labels"])[:, None, None]).all()
            order += batch["labels"].tolist()
        orders.append(order)
    assert [sorted(order) for order in orders] == [list(range(100))] * 3
    assert len(set(map(tuple, orders))) == (1 if shuffle == "none" else 3)
    again = Loader(group, batch_size=32, shuffle=shuffle, seed=4, prefetch=2)
    with zlab.settings.override(threads=1):
        assert [flat(epoch(again)) for _ in range(3)] == orders


def test_without_a_seed_loaders_differ_and_the_state_knows(labels: zlab.Array) -> None:
    one, other = (Loader(labels, batch_size=10, shuffle="global") for _ in range(2))
    state = one.get_state()
    first = epoch(one)
    assert first != epoch(other)
    other.set_state(state)
    assert epoch(other) == first


def test_several_epochs_in_one_iteration(labels: zlab.Array) -> None:
    apart = Loader(labels, batch_size=30, shuffle="window", seed=1)
    whole = Loader(labels, batch_size=30, shuffle="window", seed=1, epochs=3)
    assert len(whole) == 4
    assert epoch(whole) == epoch(apart) + epoch(apart) + epoch(apart)


def test_for_ever_until_the_loop_is_left(labels: zlab.Array) -> None:
    seen: Counter[int] = Counter()
    for number, batch in enumerate(Loader(labels, batch_size=25, epochs=None, shuffle="global")):
        seen.update(batch.tolist())
        if number == 11:
            break
    assert set(seen.values()) == {3}
    with pytest.raises(ValueError, match="an epoch has no batches, and epochs=None"):
        Loader(labels, batch_size=101, drop_remainder=True, epochs=None)


def test_the_random_states_of_others_are_left_alone(labels: zlab.Array) -> None:
    random.seed(1)
    np.random.seed(1)  # noqa: NPY002  whose state is looked at
    before = random.getstate(), np.random.get_state()[1].tolist()  # type: ignore[index]  # noqa: NPY002
    for seed in (None, 3):
        epoch(Loader(labels, batch_size=10, shuffle="global", seed=seed))
    assert before == (random.getstate(), np.random.get_state()[1].tolist())  # type: ignore[index]  # noqa: NPY002


# -- the position


@pytest.mark.parametrize("shuffle", SHUFFLES)
def test_an_iteration_goes_on_from_where_the_last_was_left(
    labels: zlab.Array, shuffle: Any
) -> None:
    loader = Loader(labels, batch_size=12, shuffle=shuffle, seed=2)
    wanted = epoch(Loader(labels, batch_size=12, shuffle=shuffle, seed=2))
    for number, _ in enumerate(loader):
        if number == 3:
            break
    assert epoch(loader) == wanted[4:]
    assert len(epoch(loader)) == 9


@given(
    shuffle=st.sampled_from(SHUFFLES),
    batch_size=st.integers(1, 40),
    then=st.integers(1, 40),
    stop=st.integers(0, 30),
    prefetch=st.sampled_from([0, 2]),
    epochs=st.sampled_from([1, 2]),
)
@settings(max_examples=25)
def test_a_state_goes_on_exactly(
    shuffle: Any, batch_size: int, then: int, stop: int, prefetch: int, epochs: int
) -> None:
    array = zlab.create_array("memory://", data=np.arange(61, dtype="int32"), chunks=5)
    loader = Loader(
        array, batch_size=batch_size, shuffle=shuffle, seed=9, prefetch=prefetch, epochs=epochs
    )
    wanted = flat(epoch(loader))
    loader = Loader(
        array, batch_size=batch_size, shuffle=shuffle, seed=9, prefetch=prefetch, epochs=epochs
    )
    begun = []
    iterator = iter(loader)
    for _ in range(stop):
        batch = next(iterator, None)
        if batch is None:
            break
        begun += batch.tolist()
    state = json.loads(json.dumps(loader.get_state()))
    # the same loader, one in another process, one with other batches
    rest = flat(epoch(iterator))
    assert begun + rest == wanted
    other = Loader(array, batch_size=batch_size, shuffle=shuffle, seed=9, epochs=epochs)
    other.set_state(state)
    if rest:
        assert flat(epoch(other)) == rest
        resized = Loader(array, batch_size=then, shuffle=shuffle, seed=9, epochs=epochs)
        resized.set_state(state)
        assert Counter(flat(epoch(resized))) == Counter(rest)
    else:
        assert other.get_state()["epoch"] == epochs


@pytest.mark.parametrize("prefetch", [0, 1, 8])
def test_the_state_counts_what_was_handed_on_and_not_what_is_ahead(
    labels: zlab.Array, prefetch: int
) -> None:
    loader = Loader(labels, batch_size=10, prefetch=prefetch)
    iterator = iter(loader)
    assert loader.get_state()["positions"] == [0]
    for number in range(1, 10):
        next(iterator)
        assert loader.get_state()["positions"] == [10 * number]


def test_behind_an_epoch_is_the_next_one(labels: zlab.Array) -> None:
    loader = Loader(labels, batch_size=30, shuffle="global", seed=1)
    epoch(loader)
    state = loader.get_state()
    assert state["epoch"] == 1
    assert state["positions"] == [0]
    second = epoch(loader)
    other = Loader(labels, batch_size=30, shuffle="global", seed=1)
    other.set_state(state)
    assert epoch(other) == second


def test_a_state_of_something_else_is_refused(labels: zlab.Array) -> None:
    loader = Loader(labels, batch_size=10, shuffle="window", seed=1)
    for other in (
        Loader(labels, batch_size=10, shuffle="global", seed=1),
        Loader(labels, batch_size=10, shuffle="window", seed=2),
        Loader(zlab.create_array({}, data=np.zeros(99, "i4")), batch_size=1, shuffle="window"),
    ):
        with pytest.raises(ValueError, match="state"):
            loader.set_state(other.get_state())
    for broken in ({}, {"epoch": 1}, None, "x", loader.get_state() | {"epoch": -1}):
        with pytest.raises(ValueError, match="no state of samples"):
            loader.set_state(broken)  # type: ignore[arg-type]
    assert len(flat(epoch(loader))) == 100


def test_the_newest_iteration_has_the_position(labels: zlab.Array) -> None:
    loader = Loader(labels, batch_size=10)
    old = iter(loader)
    assert next(old).tolist() == list(range(10))
    new = iter(loader)
    assert next(new).tolist() == list(range(10, 20))
    with pytest.raises(RuntimeError, match="taken over by another one"):
        next(old)
    assert next(new).tolist() == list(range(20, 30))
    state = loader.get_state()
    loader.set_state(state)
    with pytest.raises(RuntimeError, match="or by set_state"):
        next(new)
    with pytest.raises(RuntimeError, match="a loader for each loop"):
        for _ in zip(loader, loader, strict=True):
            pass


@pytest.mark.parametrize("shuffle", SHUFFLES)
def test_a_loader_is_pickled_with_its_position(tmp_path: Path, shuffle: Any) -> None:
    array = zlab.create_array(tmp_path / "a.zarr", data=np.arange(100, dtype="i4"), chunks=8)
    loader = Loader({"x": array}, batch_size=10, shuffle=shuffle, transform=negated)
    iterator = iter(loader)
    next(iterator)
    copy = pickle.loads(pickle.dumps(loader))  # noqa: S301  our own
    assert copy.get_state() == loader.get_state()
    assert epoch(copy) == epoch(iterator)


# -- transforms


def test_a_function_is_called_with_numpy_arrays_where_they_are_read(group: zlab.Group) -> None:
    def scaled(batch: dict[str, Any]) -> tuple[Any, Any]:
        assert {type(part) for part in batch.values()} == {np.ndarray}
        return batch["images"] / np.float32(100), batch["labels"]

    for x, y in Loader(group, batch_size=32, transform=scaled):
        assert isinstance(x, jax.Array)
        assert (np.asarray(x)[:, 0, 0] == np.asarray(y, "float32") / np.float32(100)).all()


def test_a_jitted_function_is_called_with_what_is_on_the_device(group: zlab.Group) -> None:
    kinds = []

    @jax.jit  # type: ignore[untyped-decorator]
    def scaled(batch: dict[str, Any]) -> Any:
        kinds.append(type(batch["images"]))
        return batch["images"].mean((1, 2)) + batch["labels"]

    seen = [x for batch in Loader(group, batch_size=25, transform=scaled) for x in batch.tolist()]
    assert seen == [2 * i for i in range(100)]
    # traced once for all batches
    assert [kind is np.ndarray for kind in kinds] == [False]


def test_text_may_be_turned_into_numbers_where_it_is_read() -> None:
    words = np.array(["cat", "dog", "cat", "cow"] * 3, object).astype(np.dtypes.StringDType())
    array = zlab.create_array({}, data=words, chunks=4)
    names = np.array(["cat", "cow", "dog"])
    loader = Loader(
        array, batch_size=6, transform=lambda x: np.searchsorted(names, x.astype("U3")).astype("i4")
    )
    assert flat(epoch(loader)) == [0, 2, 0, 1] * 3


def test_what_a_transform_makes_is_checked(labels: zlab.Array) -> None:
    wide = Loader(labels, batch_size=10, transform=lambda x: x / 2)
    with pytest.raises(DataTypeError, match="batch, as transform= made it, is float64") as caught:
        epoch(wide)
    assert "the samples 0, 1, 2, 3, 4, 5, 6, 7, ..." in caught.value.__notes__[0]
    inside = Loader(labels, batch_size=10, transform=lambda x: {"x": jax.numpy.asarray(x)})
    with pytest.raises(TypeError, match=r"made a jax.Array of batch\['x'\]: wrap it by jax.jit"):
        epoch(inside)
    number = Loader(labels, batch_size=10, transform=lambda x: (x, 3))
    with pytest.raises(TypeError, match=r"must return NumPy arrays, and batch\[1\] is int"):
        epoch(number)
    with pytest.raises(TypeError, match="transform must be a function of a batch, not int"):
        Loader(labels, batch_size=10, transform=3)  # type: ignore[arg-type]


@pytest.mark.parametrize("prefetch", [0, 2])
def test_what_a_transform_raises_comes_in_its_turn_and_names_the_samples(
    labels: zlab.Array, prefetch: int
) -> None:
    def refuse(batch: Any) -> Any:
        if 42 in batch:
            raise KeyError("odd")
        return batch

    loader = Loader(labels, batch_size=10, transform=refuse, prefetch=prefetch)
    seen = []
    with pytest.raises(KeyError, match="odd") as caught:  # noqa: PT012  the loop raises
        for batch in loader:
            seen += batch.tolist()
    assert seen == list(range(40))
    assert "refuse was called with the samples 40, 41, 42" in caught.value.__notes__[0]
    # it was not handed on
    assert loader.get_state()["positions"] == [40]


# -- settings of JAX


def test_settings_of_the_loops_thread_hold_in_the_reading_one() -> None:
    array = zlab.create_array({}, data=np.array([2**40 + 1, 3]))
    last = jax.devices()[-1]
    with jax.enable_x64(True), jax.default_device(last):
        (batch,) = Loader(array, batch_size=2)
    assert (batch.tolist(), str(batch.dtype)) == ([2**40 + 1, 3], "int64")
    assert batch.devices() == {last}


def test_a_host_transform_may_read_64_bits() -> None:
    array = zlab.create_array({}, data=np.arange(4) + 2**40)
    loader = Loader(array, batch_size=4, transform=lambda x: (x - 2**40).astype("int32"))
    assert flat(epoch(loader)) == [0, 1, 2, 3]


# -- life in a loop


def test_leaving_early_ends_what_is_read(group: zlab.Group) -> None:
    loader = Loader(group, batch_size=10, shuffle="window", seed=0)
    with capture("stream.st*") as captured:
        for _ in loader:
            break
    start, stop = captured.events
    assert (start.kind, stop.kind, stop.outcome) == ("batches", "batches", "closed")
    with capture("stream.stop") as captured, loader:
        iterator = iter(loader)
        next(iterator)
    assert [event.outcome for event in captured.events] == ["closed"]
    assert next(iterator, None) is None


def test_an_interrupt_loses_no_batch(labels: zlab.Array) -> None:
    loader = Loader(labels, batch_size=10)
    seen = []
    with pytest.raises(KeyboardInterrupt):  # noqa: PT012  in the loop's body
        for batch in loader:
            seen += batch.tolist()
            if len(seen) == 30:
                raise KeyboardInterrupt
    # the traceback may still hold the old iteration, as in a notebook: the next takes over
    seen += flat(epoch(loader))
    assert seen == list(range(100))


def test_a_chunk_that_cannot_be_read_is_an_error() -> None:
    store = MemoryStore()
    array = zlab.create_array(store, data=np.zeros(40, "int32") + 1, chunks=4)
    store.put("c/3", b"not zstd")
    loader = Loader(array, batch_size=4)
    seen = []
    with pytest.raises(ChunkReadError) as caught:  # noqa: PT012  the loop raises
        for batch in loader:
            seen += batch.tolist()
    assert caught.value.coords == (3,)
    assert len(seen) <= 12
    assert loader.get_state()["positions"] == [len(seen)]


def test_async_for(labels: zlab.Array) -> None:
    loader = Loader(labels, batch_size=30, shuffle="global", seed=3)
    wanted = epoch(Loader(labels, batch_size=30, shuffle="global", seed=3))

    async def run() -> list[list[int]]:
        seen = []
        async for batch in loader:
            seen.append(batch.tolist())
            if len(seen) == 2:
                break
        return seen + [batch.tolist() async for batch in loader]

    assert asyncio.run(run()) == wanted


def test_progress_is_told(labels: zlab.Array) -> None:
    told: list[Any] = []
    epoch(Loader(labels, batch_size=30, progress=told.append))
    assert told
    assert (told[-1].kind, told[-1].nchunks) == ("batches", 13)


# -- reports


def test_the_report_says_how_random_and_how_fast(group: zlab.Group) -> None:
    reports: dict[str, zlab.jax.LoaderReport] = {}
    for shuffle in SHUFFLES:
        loader = Loader(group, batch_size=32, shuffle=shuffle, seed=0)
        for _ in loader:
            pass
        report = reports[shuffle] = loader.report()
        assert (report.nbatches, report.nsamples) == (4, 100)
        assert report.nbytes == 100 * (64 + 4)
        assert 0 < report.waited_s <= report.seconds
        assert report.samples_per_s == 100 / report.seconds
    assert reports["none"].nchunks == reports["window"].nchunks == 26 + 13
    # 32 samples of chunks of 8, and 4 in the last batch
    assert list(reports["none"].randomness) == [100 / 13, 13 / 4, 1]
    for report in (reports["window"], reports["global"]):
        assert report.randomness.per_chunk < 4
        assert report.randomness.chunks > 6
        assert report.randomness.decodes == 1


def test_the_repr_tells_the_plan(group: zlab.Group) -> None:
    assert repr(Loader(group, batch_size=30, shuffle="window")) == (
        "<zlab.jax.Loader of float32 (4, 4), int32 (): 100 samples in 4 batches of 30, "
        "shuffle='window'>"
    )
    assert "in order" in repr(Loader(group, batch_size=30))


# -- arguments


def test_what_is_wrong_is_refused_before_a_read(group: zlab.Group, store: CountingStore) -> None:
    labels = group.array("labels")
    wide = group.create_array("wide", data=np.zeros(100))
    short = group.create_array("short", data=np.zeros(99, "f4"))
    store.reset()
    loose: Any = Loader
    cases: list[tuple[type[Exception], str, Callable[[], object]]] = [
        (DataTypeError, "array 'wide' is float64", lambda: Loader(wide, batch_size=1)),
        (ValueError, "different numbers", lambda: Loader(labels, short, batch_size=1)),
        (TypeError, "x must be a zlab.Array", lambda: Loader(np.zeros(3), batch_size=1)),
        (TypeError, r"y\['a'\] must be", lambda: Loader(labels, {"a": 1}, batch_size=1)),
        (ValueError, "x has no arrays", lambda: Loader({}, batch_size=1)),
        (ValueError, "batch_size", lambda: Loader(labels, batch_size=0)),
        (ValueError, "prefetch", lambda: Loader(labels, batch_size=1, prefetch=-1)),
        (ValueError, "epochs", lambda: Loader(labels, batch_size=1, epochs=0)),
        (TypeError, "epochs", lambda: loose(labels, batch_size=1, epochs=1.5)),
        (ValueError, "shuffle", lambda: loose(labels, batch_size=1, shuffle="all")),
        (TypeError, "batchsize", lambda: loose(labels, batch_size=1, batchsize=3)),
        (
            MemoryBudgetError,
            "bytes",
            lambda: Loader(group.array("images"), batch_size=8, max_bytes=9),
        ),
    ]
    for error, says, make in cases:
        with pytest.raises(error, match=says):
            make()
    assert not any("/c/" in key for key in store.counts.keys)


# -- memory


def test_a_batch_that_is_kept_is_not_written_again() -> None:
    data = np.arange(64 * 20_000, dtype="float32").reshape(64, 20_000)
    array = zlab.create_array({}, data=data, chunks=(4, 20_000), compressors=None)
    for options in ({}, {"dtype": "int32"}, {"shuffle": "window", "seed": 0}):
        loader = Loader(array, batch_size=4, **options)
        kept = list(loader)[::2]
        for _ in range(2):
            for batch in loader:
                del batch
        rows = {int(row[0]) // 20_000: row for batch in kept for row in np.asarray(batch)}
        assert len(rows) == 32
        for number, row in rows.items():
            assert (row == data[number]).all()


@pytest.mark.parametrize("shuffle", ["none", "window"])
def test_memory_that_nobody_keeps_is_used_again(shuffle: Any) -> None:
    data = np.zeros((64, 20_000), "float32")
    array = zlab.create_array({}, data=data, chunks=(4, 20_000), compressors=None)
    pointers = []
    for batch in Loader(array, batch_size=4, prefetch=1, epochs=12, shuffle=shuffle):
        pointers.append(batch.unsafe_buffer_pointer())
        del batch
    assert len(pointers) == 192
    # as many as are read ahead, however long it goes on
    assert len(set(pointers)) <= 96


def test_processes_are_told_of_what_an_epoch_leaves_out() -> None:
    def shared(n: int) -> Any:
        array = zlab.create_array({}, data=np.arange(n), chunks=10)
        options: Any = {"shuffle": "window", "seed": 0, "drop_remainder": True}
        return stream_samples([array.layout], 8, share=(0, 2), **options)

    few, many = shared(30), shared(2000)
    with pytest.warns(UserWarning, match="leaves out about 14 of 30 samples, others each time"):
        _tell_left_out(few)
    _tell_left_out(many)
