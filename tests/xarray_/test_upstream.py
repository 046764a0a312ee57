"""xarray's own tests of its Zarr engine, with zlab in the place of zarr-python for reading.

What they write is written by xarray and zarr-python. `ABSENT` lists those that are left out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

pytest.importorskip("xarray")
pytest.importorskip("zarr")
pytest.importorskip("dask")

from xarray.backends import BackendEntrypoint
from xarray.backends.common import BACKEND_ENTRYPOINTS
from xarray.tests import conftest as shared
from xarray.tests import test_backends as upstream
from xarray.tests import test_backends_datatree as trees

from zlab.xarray import ZlabBackendEntrypoint

if TYPE_CHECKING:
    import xarray as xr

# fixtures of xarray's
default_zarr_format = upstream.default_zarr_format
tmp_store = upstream.tmp_store
unaligned_datatree_zarr_factory = trees.unaligned_datatree_zarr_factory
simple_datatree = shared.simple_datatree
create_test_datatree = shared.create_test_datatree
use_dask = shared.use_dask
time_unit = shared.time_unit

# they warn of data types without a specification, of missing consolidated metadata and so on
pytestmark = [pytest.mark.filterwarnings("default"), pytest.mark.usefixtures("in_place")]

_OLDER_ZARR = "fails with xarray's own engine too, with the zarr-python that is installed"
_NO_WARNING = "zlab reads what is not consolidated at once, and does not warn of it"
_DOCUMENTS = "codecs in the encoding are as documents have them, not zarr-python's objects"

ABSENT = {
    "test_load_async": "pytest-asyncio is not installed; tests/xarray_/test_backend.py has one",
    "test_indexing": "asynchronous, and counts calls of zarr-python's methods",
    "test_async_load_multiple_variables": "counts calls of zarr-python's methods",
    "test_concurrent_load_multiple_objects": "counts calls of zarr-python's methods",
    "test_default_zarr_fill_value": _OLDER_ZARR,
    "test_dimension_names": _OLDER_ZARR,
    "test_hidden_zarr_keys": _OLDER_ZARR,
    "test_shard_encoding_with_dask": _OLDER_ZARR,
    "test_warning_on_bad_chunks": _OLDER_ZARR,
    "test_zarr_fill_value_in_encoding_on_read": _OLDER_ZARR,
    "test_zarr_fill_value_setting": "zlab does what use_zarr_fill_value_as_mask=False says",
    "test_read_non_consolidated_warning": _NO_WARNING,
    "test_to_zarr_not_consolidated": _NO_WARNING,
    "test_compressor_encoding": _DOCUMENTS,
    "test_zarr_encoding": _DOCUMENTS,
    "test_to_zarr_zip_store": "is expected to fail, and with zlab it does not",
    "test_zarr_engine_recognised": "where zarr-python is installed, its engine is the default",
    "test_non_existent_store": "the message is zlab's; the type is tested in test_backend.py",
    "test_cache_members": "tests an option of zarr-python's",
    "test_avoid_excess_metadata_calls": "counts calls of zarr-python's methods",
}

WRITING = (
    "test_append",
    "test_chunk_auto",
    "test_chunk_encoding",
    "test_encoding",
    "test_explicitly",
    "test_manual_chunk",
    "test_to_zarr",
    "test_warning",
    "test_write",
    "test_zarr_mode",
)
"""Tests of what `to_zarr` writes, and hardly of what is read: for `make test-long`."""


class InPlace(BackendEntrypoint):
    """zlab's engine with the options that xarray passes to the other one."""

    supports_groups = True

    def __init__(self) -> None:
        self._engine = ZlabBackendEntrypoint()

    def open_dataset(
        self,
        filename_or_obj: Any,
        *,
        mask_and_scale: Any = True,
        decode_times: Any = True,
        concat_characters: Any = True,
        decode_coords: Any = True,
        drop_variables: Any = None,
        use_cftime: Any = None,
        decode_timedelta: Any = None,
        group: Any = None,
        mode: str = "r",
        consolidated: Any = None,
        storage_options: Any = None,
        zarr_format: Any = None,
        store: Any = None,
        use_zarr_fill_value_as_mask: Any = None,
        cache_members: bool = True,
    ) -> xr.Dataset:
        assert mode == "r"
        assert store is None
        return self._engine.open_dataset(
            filename_or_obj,
            mask_and_scale=mask_and_scale,
            decode_times=decode_times,
            concat_characters=concat_characters,
            decode_coords=decode_coords,
            drop_variables=drop_variables,
            use_cftime=use_cftime,
            decode_timedelta=decode_timedelta,
            group=group,
            consolidated=consolidated,
            storage_options=storage_options,
            zarr_format=zarr_format,
            use_zarr_fill_value_as_mask=use_zarr_fill_value_as_mask,
            # as zarr-python's engine
            by="chunk",
        )

    def open_groups_as_dict(self, filename_or_obj: Any, **options: Any) -> dict[str, xr.Dataset]:
        return self._engine.open_groups_as_dict(filename_or_obj, **options, by="chunk")

    def open_datatree(self, filename_or_obj: Any, **options: Any) -> xr.DataTree:
        return self._engine.open_datatree(filename_or_obj, **options, by="chunk")


@pytest.fixture
def in_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(BACKEND_ENTRYPOINTS, "zarr", ("zarr", InPlace))


def _without(kind: type, left_out: tuple[str, ...]) -> None:
    for name in dir(kind):
        if name in ABSENT or name.startswith(left_out):
            setattr(kind, name, None)


class TestReading(upstream.TestZarrDirectoryStore):
    """Reads directories of both versions."""


class TestTrees(trees.TestZarrDatatreeIO):
    """Reads groups as trees."""


@pytest.mark.long
class TestAll(upstream.TestZarrDirectoryStore):
    """Those of writing too."""


@pytest.mark.long
class TestStores(upstream.TestZarrDictStore):
    """The same on a store of zarr-python's."""


@pytest.mark.long
class TestEmptyChunks(upstream.TestZarrWriteEmpty):
    """Chunks that are not stored."""


_without(TestReading, WRITING)
_without(TestTrees, ())
for _kind in (TestAll, TestStores, TestEmptyChunks):
    _without(_kind, ())


def test_what_is_left_out_exists() -> None:
    classes = (
        upstream.TestZarrDirectoryStore,
        upstream.TestZarrDictStore,
        upstream.TestZarrWriteEmpty,
        trees.TestZarrDatatreeIO,
    )
    names = {name for kind in classes for name in dir(kind)}
    assert not ABSENT.keys() - names
    assert all(any(name.startswith(prefix) for name in names) for prefix in WRITING)
