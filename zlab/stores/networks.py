"""Whatever fsspec reaches over a network, under the one policy of remote stores."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple, Self, final
from urllib.parse import urlsplit

from zlab.errors import StoreError
from zlab.stores.clients import quiet_options, silence
from zlab.stores.cloud import Timeouts
from zlab.stores.fsspec import FsspecStore
from zlab.stores.limits import Limits
from zlab.stores.remote import RemoteStore
from zlab.stores.retry import RetryPolicy

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from zlab.memory import Buffer
    from zlab.stores.base import ByteRange, Entry, Listing, Store
    from zlab.stores.hedged import HedgeAfter

_LIMITS = ("requests", "requests_per_s", "nbytes")
_TIMEOUTS = ("connect_s", "idle_s", "total_s")


class Policy(NamedTuple):
    """What a user may say of any storage behind a network, whatever its client.

    Attributes:
        retry: What is tried again.
        limits: Bounds of what is asked for at once.
        timeouts: How long is waited.
        hedge_s: When a read is asked for once more.
    """

    retry: RetryPolicy = RetryPolicy()
    limits: Limits | None = None
    timeouts: Timeouts = Timeouts()
    hedge_s: HedgeAfter | None = None

    @classmethod
    def take(cls, options: dict[str, Any]) -> Self:
        """Takes what is the policy's out of `storage_options`; the rest is the client's.

        Raises:
            TypeError: An option is not what its name says.
            ValueError: A number is out of range.
        """
        retry = RetryPolicy.parse(options.pop("retry", None))
        limits = {name: options.pop(name) for name in _LIMITS if name in options}
        timeouts = {name: options.pop(name) for name in _TIMEOUTS if name in options}
        bounds = Limits(**limits) if limits else None
        return cls(retry, bounds, Timeouts(**timeouts), options.pop("hedge_s", None))


@final
class FsspecBackend:
    """A store of fsspec's as what makes the attempts of a `RemoteStore`.

    Args:
        store: The store.
    """

    conditional = False

    def __init__(self, store: FsspecStore) -> None:
        self.store = store
        self.name = store.name
        self.place = _place(store)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, FsspecBackend) and self.store == other.store

    def __hash__(self) -> int:
        return hash(self.store)

    def __repr__(self) -> str:
        return f"FsspecBackend({self.store!r})"

    def get(self, key: str, byte_range: ByteRange | None) -> Buffer | None:
        """The object's bytes, or those of a range."""
        return self.store.get(key, byte_range)

    def get_tagged(self, key: str) -> tuple[Buffer, str] | None:
        """Refused: fsspec tells no versions with what it reads."""
        raise self._unconditional(key)

    def put(self, key: str, value: Buffer) -> None:
        """Replaces the object."""
        self.store.put(key, value)

    def put_if(self, key: str, value: Buffer, tag: str | None) -> None:
        """Refused: fsspec has no conditional writes."""
        del value, tag
        raise self._unconditional(key)

    def delete(self, keys: list[str]) -> None:
        """Removes objects."""
        for key in keys:
            self.store.delete(key)

    def delete_prefix(self, prefix: str) -> None:
        """Removes every object below a prefix, and what directories there are."""
        self.store.delete_prefix(prefix)

    def pages(self, prefix: str, after: str | None) -> Iterator[list[Entry]]:
        """All objects below a prefix, as one page."""
        del after  # there is none before the first page
        yield list(self.store.list(prefix))

    def list_dir(self, prefix: str) -> Listing:
        """One level below a prefix."""
        return self.store.list_dir(prefix)

    def list_versions(self, prefix: str) -> list[tuple[str, object]]:
        """Keys below a prefix, each with the tag of its version."""
        return list(self.store.list_versions(prefix))

    def nbytes(self, key: str) -> int | None:
        """The object's size."""
        return self.store.nbytes(key)

    def refresh(self) -> None:
        """Makes the filesystem anew, which asks for credentials again."""
        self.store.renew()

    def _unconditional(self, key: str) -> StoreError:
        return StoreError(
            "fsspec cannot make a write depend on what is there",
            store=self.name,
            key=key,
            hint="Open s3://, gs:// and az:// without engine='fsspec'",
        )


def open_generic(url: str, options: Mapping[str, Any], *, read_only: bool) -> Store:
    """A store of a URL by fsspec.

    Args:
        url: The URL, which may be a chain of several.
        options: The filesystem's, and the policy's.
        read_only: Refuse writes.

    Raises:
        MissingExtraError: The library that this kind of URL needs is not installed.
        StoreError: There is no such kind of URL, or it cannot be opened.
        TypeError: An option is not what its name says.
        ValueError: A number is out of range.
    """
    rest = dict(options)
    policy = Policy.take(rest)
    is_chain = "::" in url
    if not is_chain:
        # where a library is missing, opening says which
        with suppress(ImportError):
            rest = quiet_options(url.partition("://")[0].lower(), rest, policy.timeouts)
    store = FsspecStore(url, storage_options=rest, read_only=read_only)
    if not is_chain:
        silence(store.fs)
    return under_policy(store, policy)


def under_policy(store: FsspecStore, policy: Policy | None = None) -> Store:
    """The store, under the policy where it is behind a network."""
    if store.local:
        return store
    policy = policy or Policy()
    return RemoteStore(
        FsspecBackend(store),
        read_only=store.read_only,
        retry=policy.retry,
        limits=policy.limits,
        hedge_s=policy.hedge_s,
    )


def _place(store: FsspecStore) -> str:
    """A host and a bucket, named as those of zlab's own stores there."""
    parts = urlsplit(store.name)
    if parts.scheme in ("http", "https"):
        return f"{parts.scheme}://{parts.netloc}"
    options = store.fs.storage_options
    nested = options.get("client_kwargs") or {}
    at = options.get("endpoint_url") or nested.get("endpoint_url") or options.get("account_name")
    bucket = parts.netloc or store.root.strip("/").partition("/")[0]
    return f"{parts.scheme}://{bucket}@{at or ''}"
