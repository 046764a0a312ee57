"""Storage transformers: what stands between an array's chunks and the store that holds them.

A transformer is a store around a store. Documents pass it by; none is registered with Zarr, so each
one comes from another package.

Source: Zarr v3 core specification, section "Storage transformers".
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from zlab.errors import UnknownExtensionError
from zlab.plugins import Registry
from zlab.stores.base import Store

if TYPE_CHECKING:
    from collections.abc import Sequence

    from zlab.metadata.extension import NamedConfig

transformers: Registry[Store] = Registry(
    "storage transformer",
    "zlab.storage_transformers",
    Store,  # type: ignore[type-abstract]  # it is only checked against
    UnknownExtensionError,
)
"""Transformers of other packages: `(configuration, store, path) -> Store`.

`path` is the array's path in the store. Two stores that a factory makes of equal arguments have to
be equal, because caches and locks go by it.
"""


def transformed(store: Store, path: str, names: Sequence[NamedConfig]) -> Store:
    """The store that an array's chunks are read from and written to.

    Args:
        store: Where the array is.
        path: Its path there.
        names: As its document lists them: the first one is asked first.

    Raises:
        UnknownExtensionError: A transformer is not known and must be understood, or its package
            is broken.
        MetadataError: A configuration is wrong.
    """
    for transformer in reversed(names):
        found = transformers.make(transformer.name, transformer.configuration, store, path)
        if found is not None:
            store = found
        elif transformer.must_understand:
            # data behind one that is not undone would be garbage
            raise UnknownExtensionError(
                f"unknown storage transformer {transformer.name!r:.80}", hint=transformers.hint
            )
    return store
