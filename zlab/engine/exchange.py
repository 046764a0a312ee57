"""Objects whose new bytes are made of the old ones, replaced only where those are still there.

Where a store can tell versions and replace one of them alone (S3, Google, Azure), a change that
met somebody else's is made anew, of what is stored now: writers in any number of processes and
machines lose nothing of each other's. Elsewhere there are locks (`zlab.engine.locks`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeGuard, TypeVar, final

from zlab.errors import StoreConflictError, StoreError
from zlab.stores.aside import wait_s
from zlab.stores.retry import RetryPolicy

if TYPE_CHECKING:
    from collections.abc import Callable

    from zlab.memory import Buffer
    from zlab.stores.base import Store

T = TypeVar("T")

_POLICY = RetryPolicy(attempts=64, base_s=0.01, cap_s=1.0)
_SAME_TAG = 4  # conflicts over one and the same version, which somebody else's writes would end


class Conditional(Protocol):
    """A store that replaces an object only where it is the version that was read."""

    def get_tagged(self, key: str) -> tuple[Buffer, str] | None:
        """The object's bytes, and the tag of this version of it."""
        ...

    def put_if(self, key: str, value: Buffer, tag: str | None) -> None:
        """Replaces the version with a tag; with `None` the object must not exist yet."""
        ...


@final
class Exchange:
    """One attempt to replace objects by what is made of them.

    Args:
        store: Where they are.

    Attributes:
        conditional: Whether what somebody else writes meanwhile is found out.
        tags: Of what was read.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self.conditional = is_conditional(store)
        self.tags: dict[str, str] = {}

    def get(self, key: str) -> Buffer | None:
        """The stored object."""
        store = self._store
        if not is_conditional(store):
            return store.get(key)
        found = store.get_tagged(key)
        if found is None:
            return None
        data, self.tags[key] = found
        return data

    def put(self, key: str, data: Buffer | None) -> None:
        """Replaces what was read.

        Args:
            key: Of the object.
            data: The new bytes; `None` for no object, which can only be asked for where there was
                none if the store is conditional, since none deletes one version alone.

        Raises:
            StoreConflictError: It is no longer what was read.
        """
        store = self._store
        if is_conditional(store):
            if data is not None:
                store.put_if(key, data, self.tags.get(key))
        elif data is None:
            store.delete(key)
        else:
            store.put(key, data)


def exchanged(store: Store, attempt: Callable[[Exchange], T]) -> T:
    """What an attempt returns, the first that nobody else has come between.

    Args:
        store: Where the objects are.
        attempt: Reads, and puts what it makes of that; it may be called many times.

    Raises:
        StoreConflictError: Others write the same objects too often.
        StoreError: The store failed, or refuses every conditional write.
    """
    before: dict[str, str] | None = None
    same = 0
    for number in range(1, _POLICY.attempts + 1):
        exchange = Exchange(store)
        try:
            return attempt(exchange)
        except StoreConflictError as error:
            same = same + 1 if exchange.tags == before and before else 0
            before = exchange.tags
            if same == _SAME_TAG:
                raise StoreError(
                    "the server refuses to replace the version that it has",
                    store=error.store,
                    key=error.key,
                    hint="It does not know conditional writes as S3 does; pass "
                    "storage_options={'conditional': False}, and keep writers apart",
                ) from error
            if number == _POLICY.attempts or not wait_s(_POLICY.wait_s(number)):
                raise
    raise AssertionError  # the last attempt has returned or raised


def is_conditional(store: object) -> TypeGuard[Conditional]:
    """Whether a store replaces an object only where it is what was read."""
    return getattr(store, "conditional", False) is True
