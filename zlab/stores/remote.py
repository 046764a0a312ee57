"""One policy for every store behind a network: what is tried again, when, and how many at once.

A backend makes one attempt and says in an error's class what went wrong; here is decided what
becomes of it. A broken answer goes on from the byte that it had reached, where the backend can.
"""

from __future__ import annotations

import os
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, final

from zlab.errors import (
    CorruptObjectError,
    StoreCredentialsError,
    StoreError,
    StoreThrottledError,
    StoreTransientError,
)
from zlab.stores.aside import interruptible, is_abandoned, wait_s
from zlab.stores.base import Tagged, check_key, check_prefix, check_writable
from zlab.stores.hedged import Hedges
from zlab.stores.limits import limiter_of
from zlab.stores.retry import RetryPolicy
from zlab.telemetry.events import StoreRetry
from zlab.telemetry.hub import hub

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from zlab.memory import Buffer
    from zlab.stores.base import ByteRange, Entry, Listing
    from zlab.stores.hedged import HedgeAfter
    from zlab.stores.limits import Limiter, Limits

T = TypeVar("T")
R = TypeVar("R")

_CORRUPT_RETRIES = 1
_REFRESHES = 1


class Backend(Protocol):
    """A store that makes one attempt, and tells what failed by the class of the error.

    An error may have an attribute `resume`: what to call for the next attempt instead, such as for
    the rest of an answer that broke off. It gives what the call was to give: see `resumable`.

    One that removes all below a prefix by itself has `delete_prefix(prefix)`, which is called then.
    One that can leave out what has not changed has `get_if_changed(key, byte_range, tag)`.

    Attributes:
        name: As a store's.
        place: Scheme, host and bucket: what is limited and shared by all stores there.
        conditional: Whether it has `get_tagged` and `put_if`.
    """

    name: str
    place: str
    conditional: bool

    def get(self, key: str, byte_range: ByteRange | None) -> Buffer | None:
        """As `Store.get`."""
        ...

    def get_tagged(self, key: str) -> tuple[Buffer, str] | None:
        """The object's bytes, and the tag of this version of it (an ETag, or a generation)."""
        ...

    def put(self, key: str, value: Buffer) -> None:
        """As `Store.put`."""
        ...

    def put_if(self, key: str, value: Buffer, tag: str | None) -> None:
        """Replaces the version with a tag; with `None` the object must not exist yet."""
        ...

    def delete(self, keys: list[str]) -> None:
        """Removes objects; one that does not exist is no error."""
        ...

    def pages(self, prefix: str, after: str | None) -> Iterator[list[Entry]]:
        """All objects below a prefix in the order of their keys, page by page, behind a key."""
        ...

    def list_dir(self, prefix: str) -> Listing:
        """As `Store.list_dir`."""
        ...

    def list_versions(self, prefix: str) -> list[tuple[str, object]]:
        """Keys below a prefix, each with a tag of its version as the listing tells it."""
        ...

    def nbytes(self, key: str) -> int | None:
        """As `Store.nbytes`."""
        ...

    def refresh(self) -> None:
        """Asks for new credentials."""
        ...


def resumable(call: Callable[[], T], finish: Callable[[T], R]) -> R:
    """What `finish` makes of what a call gives, be it at once or by the `resume` of its error."""
    try:
        result = call()
    except StoreError as error:
        resume = getattr(error, "resume", None)
        if resume is not None:
            error.resume = lambda: resumable(resume, finish)  # type: ignore[attr-defined]
        raise
    return finish(result)


@final
class RemoteStore:
    """A store behind a network, under a policy.

    Args:
        backend: Who makes the requests.
        read_only: Refuse writes.
        retry: When a request is made again.
        limits: Bounds of what is asked for at once, for all stores at the backend's place.
        hedge_s: Seconds after which a read that is not answered is asked for once more, and the
            first answer taken; `"p95"` for as long as 95 of 100 reads take. Never by default.

    Attributes:
        backend: Who makes the requests.
        conditional: Whether `get_tagged` and `put_if` can be used.
        tells_tags: Whether `get_if_changed` can leave out what has not changed.
        hedges: Of the reads; `None` where they are made once.
        policy: When a request is made again.
        limiter: Shared by all stores at this place.
    """

    local = False

    def __init__(
        self,
        backend: Backend,
        *,
        read_only: bool = False,
        retry: RetryPolicy | None = None,
        limits: Limits | None = None,
        hedge_s: HedgeAfter | None = None,
    ) -> None:
        self.backend = backend
        self.name = backend.name
        self.read_only = read_only
        self.conditional = backend.conditional
        self.policy = retry or RetryPolicy()
        self.limiter: Limiter = limiter_of(backend.place, limits)
        self.tells_tags = hasattr(backend, "get_if_changed")
        self.hedges = None if hedge_s is None else Hedges(hedge_s, self.limiter, self.name)
        self._limits = limits
        self._budget = self.limiter.budget
        self._pid = os.getpid()

    def __repr__(self) -> str:
        return f"RemoteStore({self.name!r}{', read_only=True' if self.read_only else ''})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RemoteStore) and self.backend == other.backend

    def __hash__(self) -> int:
        return hash(self.name)

    def __reduce__(self) -> tuple[object, ...]:
        hedge_s = None if self.hedges is None else self.hedges.after
        return _rebuild, (self.backend, self.read_only, self.policy, self._limits, hedge_s)

    def get(self, key: str, byte_range: ByteRange | None = None) -> Buffer | None:
        """The object's bytes, or those of a range; `None` only where it does not exist.

        Raises:
            StoreError: It cannot be read, or has no such range; the class says why.
            StoreNotFoundError: The bucket or container does not exist.
        """
        check_key(key, self.name)
        nbytes = 0 if byte_range is None else byte_range.nbytes
        return self._read(key, lambda: self.backend.get(key, byte_range), nbytes)

    def get_if_changed(
        self, key: str, byte_range: ByteRange | None, tag: str | None
    ) -> Tagged | None:
        """As `get`, but without the bytes where they are those of a version that is known.

        Args:
            key: Of the object.
            byte_range: What part of it; `None` for the whole.
            tag: Of the version that is known; `None` where there is none.

        Raises:
            StoreError: It cannot be read.
        """
        ask = getattr(self.backend, "get_if_changed", None)
        if ask is None:
            data = self.get(key, byte_range)
            return None if data is None else Tagged(data, None)
        check_key(key, self.name)
        nbytes = 0 if byte_range is None else byte_range.nbytes
        found: Tagged | None = self._read(key, lambda: ask(key, byte_range, tag), nbytes)
        return found

    def _read(self, key: str, call: Callable[[], T], nbytes: int) -> T:
        hedges = self.hedges
        if hedges is None:
            return self._do("get", key, call, nbytes)
        # only the first attempt: those after it are late because the storage is in trouble
        first = partial(hedges.first_answer, key, call, nbytes)
        return self._do("get", key, call, nbytes, first)

    def get_tagged(self, key: str) -> tuple[Buffer, str] | None:
        """The object's bytes, and a tag of this version of it for `put_if`.

        Raises:
            StoreError: It cannot be read.
        """
        check_key(key, self.name)
        return self._do("get", key, lambda: self.backend.get_tagged(key))

    def put(self, key: str, value: Buffer) -> None:
        """Replaces the object as a whole.

        Raises:
            StoreError: It cannot be written. Whether it was is not known where the answer was lost;
                it is then the old bytes or the new ones.
            ReadOnlyError: The store was opened for reading.
        """
        check_writable(self, key)
        check_key(key, self.name)
        self._do("put", key, lambda: self.backend.put(key, value), len(value))

    def put_if(self, key: str, value: Buffer, tag: str | None) -> None:
        """Replaces one version of an object, or makes one that must not be there yet.

        Where an answer is lost the object is read: if it is these very bytes, this write is taken
        to have made them, and is not made twice.

        Args:
            key: Of the object.
            value: The new bytes.
            tag: Of the version to replace, by `get_tagged`; `None` where there must be none.

        Raises:
            StoreConflictError: There is another version; nothing was written.
            StoreError: It cannot be written.
            ReadOnlyError: The store was opened for reading.
        """
        check_writable(self, key)
        check_key(key, self.name)
        unsure = False

        def attempt() -> None:
            nonlocal unsure
            try:
                if unsure and self._holds(key, value):
                    return
                self.backend.put_if(key, value, tag)
            except StoreThrottledError:
                raise  # a refusal: nothing was written
            except StoreTransientError:
                unsure = True
                raise

        self._do("put", key, attempt, len(value))

    def _pages(self, prefix: str) -> Iterator[list[Entry]]:
        """The pages of a listing; one that broke off goes on behind the last key."""
        pages: Iterator[list[Entry]] | None = None
        after: str | None = None

        def following() -> list[Entry] | None:
            nonlocal pages
            if pages is None:
                pages = self.backend.pages(prefix, after)
            try:
                return next(pages, None)
            except StoreError:
                pages = None
                raise

        while (page := self._do("list", prefix, following)) is not None:
            if page:
                after = page[-1].key
                yield page

    def delete(self, key: str) -> None:
        """Removes the object; one that does not exist is no error.

        Raises:
            StoreError: It cannot be removed.
            ReadOnlyError: The store was opened for reading.
        """
        check_writable(self, key)
        check_key(key, self.name)
        self._do("delete", key, lambda: self.backend.delete([key]))

    def delete_prefix(self, prefix: str) -> None:
        """Removes every object below a prefix.

        Raises:
            StoreError: They cannot all be removed.
            ReadOnlyError: The store was opened for reading.
        """
        check_writable(self, prefix)
        check_prefix(prefix, self.name)
        whole = getattr(self.backend, "delete_prefix", None)
        if whole is not None:
            self._do("delete", prefix, lambda: whole(prefix))
            return
        for page in self._pages(prefix):
            self._do("delete", prefix, partial(self.backend.delete, [one.key for one in page]))

    def list(self, prefix: str = "") -> Iterator[Entry]:
        """All objects below a prefix, at any depth.

        Raises:
            StoreError: They cannot be listed.
        """
        check_prefix(prefix, self.name)
        for page in self._pages(prefix):
            yield from page

    def list_dir(self, prefix: str = "") -> Listing:
        """One level below a prefix; empty where there is nothing.

        Raises:
            StoreError: It cannot be listed.
        """
        check_prefix(prefix, self.name)
        return self._do("list", prefix, lambda: self.backend.list_dir(prefix))

    def list_versions(self, prefix: str = "") -> Iterator[tuple[str, object]]:
        """Keys below a prefix, each with the tag of its version; `None` where none is told.

        Raises:
            StoreError: They cannot be listed.
        """
        check_prefix(prefix, self.name)
        yield from self._do("list", prefix, lambda: self.backend.list_versions(prefix))

    def nbytes(self, key: str) -> int | None:
        """The object's size, or `None` where it does not exist.

        Raises:
            StoreError: It cannot be looked up.
        """
        check_key(key, self.name)
        return self._do("nbytes", key, lambda: self.backend.nbytes(key))

    def version(self, key: str) -> object:
        """`None`: it takes a request."""
        del key
        return None

    def _holds(self, key: str, value: Buffer) -> bool:
        try:
            found = self.backend.get(key, None)
        except StoreError as error:
            # what could go on is this look, which is not what was asked for
            _drop_resume(error)
            raise
        return found is not None and bytes(found) == bytes(value)

    def _do(
        self,
        operation: str,
        key: str,
        call: Callable[[], T],
        nbytes: int = 0,
        first: Callable[[], T] | None = None,
    ) -> T:
        if self._pid != os.getpid():
            raise StoreError(
                "the store was opened before this process was forked, and its connections do not "
                "survive that",
                store=self.name,
                key=key or None,
                hint="Open it in the child, or start processes with 'spawn' or 'forkserver'",
            )
        return interruptible(lambda: self._try(operation, key, call, nbytes, first or call))

    def _try(
        self,
        operation: str,
        key: str,
        call: Callable[[], T],
        nbytes: int,
        first: Callable[[], T],
    ) -> T:
        """Makes attempts, with one slot for all of them and the waits between."""
        limiter = self.limiter
        limiter.take(nbytes)
        try:
            limiter.pace()
            if is_abandoned():  # while it waited for its turn
                raise StoreError("nobody waits for it any more", store=self.name, key=key or None)
            try:
                result = first()
            except StoreError as error:
                return _Attempts(self, operation, key, call).after(error)  # type: ignore[no-any-return]
            limiter.succeed()
            self._budget.give_back()
            return result
        finally:
            limiter.give_back(nbytes)

    def may_retry(self) -> bool:
        """Whether the place's budget has a retry left; it takes it."""
        return self._budget.take()


class _Attempts:
    """An operation whose first attempt has failed."""

    def __init__(
        self, store: RemoteStore, operation: str, key: str, call: Callable[[], Any]
    ) -> None:
        self._store = store
        self._operation = operation
        self._key = key
        self._call = call
        self._began = monotonic()
        self._attempt = 1
        self._corrupt = _CORRUPT_RETRIES
        self._refreshes = _REFRESHES

    def after(self, error: StoreError) -> Any:
        """The result, after a first error; or the last error."""
        limiter = self._store.limiter
        while True:
            wait = self._wait_s(error)
            error.attempts, error.elapsed_s = self._attempt, monotonic() - self._began
            if wait is None:
                raise _drop_resume(error)
            if hub.wants(StoreRetry):
                said = f"{type(error).__name__}: {error.what}"
                hub.emit(
                    StoreRetry(
                        self._store.name, self._key, self._operation, self._attempt, wait, said
                    )
                )
            if not wait_s(wait):
                raise _drop_resume(error)
            limiter.pace()
            if is_abandoned():
                raise _drop_resume(error)
            call = getattr(error, "resume", None) or self._call
            self._attempt += 1
            try:
                result = call()
            except StoreError as failure:
                error = failure
                continue
            limiter.succeed()
            return result

    def _wait_s(self, error: StoreError) -> float | None:
        """Seconds until the next attempt; `None` where there is none."""
        store, policy = self._store, self._store.policy
        retry_after_s: float | None = None
        if isinstance(error, StoreThrottledError):
            retry_after_s = error.retry_after_s
            store.limiter.throttle(retry_after_s)
        elif isinstance(error, StoreTransientError):
            pass
        elif isinstance(error, CorruptObjectError) and self._corrupt:
            self._corrupt -= 1
        elif isinstance(error, StoreCredentialsError) and error.expired and self._refreshes:
            self._refreshes -= 1
            store.backend.refresh()
        else:
            return None
        wait = policy.wait_s(self._attempt, retry_after_s=retry_after_s)
        in_time = monotonic() + wait - self._began <= policy.deadline_s
        if self._attempt >= policy.attempts or not in_time or is_abandoned():
            return None
        if not isinstance(error, StoreThrottledError) and not store.may_retry():
            return None
        return wait


def _drop_resume(error: StoreError) -> StoreError:
    """The error, which is nobody's to go on from; it holds bytes, and cannot be pickled with it."""
    error.__dict__.pop("resume", None)
    return error


def _rebuild(backend: Backend, *options: Any) -> RemoteStore:
    read_only, retry, limits, hedge_s = options
    return RemoteStore(backend, read_only=read_only, retry=retry, limits=limits, hedge_s=hedge_s)
