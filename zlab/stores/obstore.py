"""Objects of S3, Google Cloud Storage, Azure and HTTP servers through obstore: its only importer.

One attempt a call: obstore's own retries are off, `zlab.stores.remote` decides. Its errors carry a
text and no headers; the text is read here, and tests hold it against the servers' answers.
"""

from __future__ import annotations

import json
import re
from contextlib import closing
from datetime import timedelta
from functools import cached_property
from http.client import HTTPException
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar, final
from urllib.error import HTTPError
from urllib.parse import quote
from urllib.request import Request, urlopen

import obstore
from obstore.exceptions import BaseError, NotModifiedError
from obstore.store import AzureStore, GCSStore, HTTPStore, S3Store

from zlab.errors import (
    CorruptObjectError,
    StoreConflictError,
    StoreError,
    StoreThrottledError,
    StoreTimeoutError,
    StoreTransientError,
)
from zlab.stores.answers import Answer, failure, is_absent
from zlab.stores.base import Entry, Listing, Range, Suffix, Tagged, bad_range, redact, span
from zlab.stores.clients import quiet_options
from zlab.stores.fsspec import FsspecStore
from zlab.stores.remote import resumable
from zlab.stores.retry import parse_retry_after

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from obstore.store import ObjectStore

    from zlab.memory import Buffer
    from zlab.stores.base import ByteRange
    from zlab.stores.cloud import Cloud

T = TypeVar("T")

_STATUS = re.compile(
    r"non-2xx status code: (\d{3})[^:\n]*(?:: (.*?))?(?:\n\nDebug source|\Z)", re.DOTALL
)
_KIND = re.compile(r"kind: (Timeout|Connect|Request|Interrupted|Decode)")
_NOT_PARTIAL = re.compile(r"NotPartial|non-partial|Range request not supported", re.IGNORECASE)
_BAD_RANGE = re.compile(r"InvalidRangeRequest|Wanted range starting")
_NO_CREDENTIALS = re.compile(
    r"credential|InstanceMetadata|169\.254\.|metadata service", re.IGNORECASE
)
# one of many that are deleted at once, on Azure
_GONE_IN_BULK = re.compile(r"specified blob does not exist\. \(code: 404\)")
_PIECE_NBYTES = 64 << 10  # so that little is lost of an answer that breaks off
_SIGNED_FOR = timedelta(minutes=5)
_GOOGLE = "https://storage.googleapis.com"
_KINDS: dict[str, Any] = {"s3": S3Store, "gs": GCSStore, "az": AzureStore}


class _Found(NamedTuple):
    """Bytes of an object, and what tells this version of it: an ETag, and Google's generation."""

    data: Buffer
    version: dict[str, str]


@final
class ObstoreBackend:
    """Objects below a root in one bucket or container, or below a URL.

    Args:
        cloud: Which, and how it is reached.
    """

    def __init__(self, cloud: Cloud) -> None:
        self.cloud = cloud
        self.name = cloud.name
        self.place = cloud.place
        self.conditional = cloud.scheme != "http" and cloud.options.conditional
        self._coded = cloud.scheme != "http"
        self._clients: dict[int, ObjectStore] = {}

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ObstoreBackend) and self.cloud == other.cloud

    def __hash__(self) -> int:
        return hash(self.name)

    def __repr__(self) -> str:
        return f"ObstoreBackend({self.name!r})"

    def __reduce__(self) -> tuple[object, ...]:
        # configuration travels, connections do not
        return ObstoreBackend, (self.cloud,)

    def refresh(self) -> None:
        """Makes clients anew, which ask for credentials again."""
        self._clients = {}

    def get(self, key: str, byte_range: ByteRange | None) -> Buffer | None:
        """The object's bytes, or those of a range; `None` only where it does not exist."""
        return self._get(key, byte_range, _data)

    def get_tagged(self, key: str) -> tuple[Buffer, str] | None:
        """The object's bytes and its ETag."""

        def tagged(found: _Found | None) -> tuple[Buffer, str] | None:
            if found is None:
                return None
            if not found.version:
                what = "the server gives no tag for this version"
                raise StoreError(what, store=self.name, key=key)
            return found.data, json.dumps(found.version)

        return self._get(key, None, tagged, tells=True)

    def get_if_changed(
        self, key: str, byte_range: ByteRange | None, tag: str | None
    ) -> Tagged | None:
        """The object's bytes and its ETag; without the bytes where the tag is the same."""

        def tagged(found: _Found | None) -> Tagged | None:
            return None if found is None else Tagged(found.data, found.version.get("e_tag"))

        try:
            return self._get(key, byte_range, tagged, tells=True, unlike=tag)
        except NotModifiedError:
            return Tagged(None, tag)

    def _get(
        self,
        key: str,
        byte_range: ByteRange | None,
        finish: Callable[[_Found | None], T],
        *,
        tells: bool = False,
        unlike: str | None = None,
    ) -> T:
        """What `finish` makes of an object, or of a range of it."""
        if byte_range is None:
            return resumable(lambda: self._fetch(key, None, None, tells, unlike), finish)
        if byte_range.nbytes <= 0:
            nothing = self._nothing(key, byte_range)
            return finish(None if nothing is None else _Found(nothing, {}))
        if isinstance(byte_range, Suffix) and not self.cloud.has_suffix:
            size = self.nbytes(key)
            if size is None:
                return finish(None)
            start, stop = span(byte_range, size, self.name, key)
            byte_range = Range(start, stop - start)
        wanted = byte_range

        def checked(found: _Found | None) -> T:
            if found is not None and isinstance(wanted, Range) and len(found.data) < wanted.nbytes:
                raise bad_range(wanted, self.name, key)
            return finish(found)

        return resumable(lambda: self._fetch(key, wanted, None, tells, unlike), checked)

    def put(self, key: str, value: Buffer) -> None:
        """Replaces the object."""
        self._put(key, value, "overwrite")

    def put_if(self, key: str, value: Buffer, tag: str | None) -> None:
        """Replaces one version, or makes an object that is not there."""
        self._put(key, value, "create" if tag is None else json.loads(tag))

    def delete(self, keys: list[str]) -> None:
        """Removes objects."""
        paths = [self.cloud.path(key) for key in keys]
        try:
            obstore.delete(self._client(0), paths)
        except (BaseError, OSError) as error:
            if not is_absent(_answer(error), coded=self._coded):
                key = keys[0] if len(keys) == 1 else None
                raise self._failed(error, "the object cannot be deleted", key) from error
            if len(keys) > 1:  # it has stopped at one that somebody else deleted
                for key in keys:
                    self.delete([key])

    def pages(self, prefix: str, after: str | None) -> Iterator[list[Entry]]:
        """All objects below a prefix, page by page."""
        if not self.cloud.lists:
            yield [entry for entry in self._web.list(prefix) if after is None or entry.key > after]
            return
        offset = None if after is None else self.cloud.path(after)
        root = self.cloud.path(prefix)
        try:
            for page in obstore.list(
                self._client(0), prefix=root or None, offset=offset, chunk_size=1000
            ):
                entries = [self._entry(meta) for meta in page]
                # not every server knows where to go on
                yield [e for e in entries if e is not None and (after is None or e.key > after)]
        except (BaseError, OSError) as error:
            raise self._failed(error, "the objects cannot be listed", prefix) from error

    def list_dir(self, prefix: str) -> Listing:
        """One level below a prefix."""
        if not self.cloud.lists:
            return self._web.list_dir(prefix)
        root = self.cloud.path(prefix)
        try:
            found = obstore.list_with_delimiter(self._client(0), prefix=root or None)
        except (BaseError, OSError) as error:
            raise self._failed(error, "it cannot be listed", prefix) from error
        entries = [self._entry(meta) for meta in found["objects"]]
        prefixes = [self.cloud.key(path.rstrip("/")) for path in found["common_prefixes"]]
        return Listing(sorted(e for e in entries if e is not None), sorted(filter(None, prefixes)))

    def list_versions(self, prefix: str) -> list[tuple[str, object]]:
        """Keys below a prefix, each with the tag of its version."""
        if not self.cloud.lists:
            return [*self._web.list_versions(prefix)]
        root = self.cloud.path(prefix)
        found: list[tuple[str, object]] = []
        try:
            for page in obstore.list(self._client(0), prefix=root or None, chunk_size=1000):
                for meta in page:
                    key, tag = self.cloud.key(meta["path"]), meta["e_tag"] or meta["version"]
                    if key:
                        found.append((key, None if tag is None else (tag, meta["size"])))
        except (BaseError, OSError) as error:
            raise self._failed(error, "the objects cannot be listed", prefix) from error
        return found

    @cached_property
    def _web(self) -> FsspecStore:
        """Lists a web server, whose pages link to what there is."""
        options: dict[str, Any] = {"headers": dict(self.cloud.options.headers)}
        if self.cloud.options.proxy is not None:
            # who has a proxy count bytes does not want them to become more behind it
            options["headers"].setdefault("Accept-Encoding", "identity")
            options |= {
                "proxy": self.cloud.options.proxy,
                "client_kwargs": {"auto_decompress": False},
                "skip_instance_cache": True,  # with its sessions, for each proxy there ever was
            }
        return FsspecStore(
            self.name, storage_options=quiet_options("http", options, self.cloud.timeouts)
        )

    def nbytes(self, key: str) -> int | None:
        """The object's size."""
        try:
            return int(obstore.head(self._client(0), self.cloud.path(key))["size"])
        except (BaseError, OSError) as error:
            answer = _answer(error)
            if answer.status == 404 and not answer.body.strip() and self._coded:  # noqa: PLR2004
                # an answer to HEAD has no body that would say what is missing
                return self._nbytes_by_get(key)
            if is_absent(answer, coded=self._coded):
                return None
            raise self._failed(error, "the object cannot be looked up", key) from error

    def _nbytes_by_get(self, key: str) -> int | None:
        return resumable(
            lambda: self._fetch(key, None, None),
            lambda found: None if found is None else len(found.data),
        )

    def _nothing(self, key: str, byte_range: ByteRange) -> Buffer | None:
        """No bytes of an object, which must be there."""
        size = self.nbytes(key)
        if size is None:
            return None
        span(byte_range, size, self.name, key)
        return b""

    # -- one attempt

    def _fetch(
        self,
        key: str,
        byte_range: ByteRange | None,
        tag: str | None,
        tells: bool = False,  # noqa: FBT001, FBT002  private, and called once a chunk
        unlike: str | None = None,
    ) -> _Found | None:
        """What there is. With a tag, of that version: it is the rest of what broke off.

        Args:
            key: Of the object.
            byte_range: What part of it.
            tag: Of the version that it has to be.
            tells: Whether the version is told of a small answer too.
            unlike: Tag of the version that it must not be.

        Raises:
            NotModifiedError: It is that one.
        """
        pieces: list[Any] = []
        seen = tag
        start = 0
        nbytes: int | None = None
        try:
            result = obstore.get(
                self._client(byte_range.nbytes if byte_range else 0),
                self.cloud.path(key),
                options=_options(byte_range, tag, unlike),  # type: ignore[arg-type]
            )
            start, stop = result.range
            nbytes = stop - start
            if nbytes <= _PIECE_NBYTES and not tells:
                # of less than a piece nothing is left to go on from, so its version is not needed
                version: dict[str, str] = {}
                pieces.append(result.bytes())
            else:
                meta: Any = result.meta
                version = {name: meta[name] for name in ("e_tag", "version") if meta.get(name)}
                seen = version.get("e_tag")
                pieces.extend(result.stream(min_chunk_size=_PIECE_NBYTES))
        except NotModifiedError:
            raise
        except (BaseError, OSError) as error:
            if pieces and seen is not None and nbytes is not None:
                raise self._broken(error, key, pieces, start, nbytes, seen) from error
            answer = _answer(error)
            if is_absent(answer, coded=self._coded):
                self._check_unbegun(key, tag)
                return None
            if byte_range is not None and _NOT_PARTIAL.search(str(error)):
                return self._cut(key, byte_range, tag)
            failed = self._replaced(self._failed(error, "the object cannot be read", key), tag)
            if isinstance(failed, StoreThrottledError):
                failed.resume = lambda: self._fetch_openly(key, byte_range, tag)  # type: ignore[attr-defined]
            raise failed from error
        received = len(pieces[0]) if len(pieces) == 1 else sum(map(len, pieces))
        if received != nbytes:
            raise CorruptObjectError(
                f"{received} bytes came of {nbytes} that the server has announced",
                store=self.name,
                key=key,
                hint="The connection or a proxy on the way is broken",
            )
        data = memoryview(pieces[0]) if len(pieces) == 1 else b"".join(pieces)
        return _Found(data, version)

    def _broken(
        self,
        error: BaseException,
        key: str,
        pieces: list[Any],
        start: int,
        nbytes: int,
        tag: str,
    ) -> StoreError:
        """The error of an answer that broke off, from which the next attempt goes on."""
        failed = self._failed(error, "the object's bytes broke off", key)
        got = sum(map(len, pieces))

        def joined(found: _Found | None) -> _Found | None:
            if found is None or len(found.data) != nbytes - got:
                raise CorruptObjectError(
                    "the rest of the object is not what was missing", store=self.name, key=key
                )
            return _Found(b"".join([*pieces, found.data]), found.version)

        def rest() -> _Found | None:
            missing = Range(start + got, nbytes - got)
            return resumable(lambda: self._fetch(key, missing, tag), joined)

        failed.resume = rest  # type: ignore[attr-defined]
        return failed

    def _check_unbegun(self, key: str, tag: str | None) -> None:
        """That an object is absent is an error where half of it was there."""
        if tag is not None:
            what = "the object was deleted while it was read"
            raise StoreTransientError(what, store=self.name, key=key)

    def _replaced(self, failed: StoreError, tag: str | None) -> StoreError:
        """The error, which for the rest of another version means to read all of it again."""
        if tag is None or not isinstance(failed, StoreConflictError):
            return failed
        what = "the object was replaced while it was read"
        return StoreTransientError(what, store=self.name, key=failed.key)

    def _cut(self, key: str, byte_range: ByteRange, tag: str | None) -> _Found | None:
        """A range of a server that knows none."""

        def part(found: _Found | None) -> _Found | None:
            if found is None:
                return None
            start, stop = span(byte_range, len(found.data), self.name, key)
            return _Found(memoryview(found.data)[start:stop], found.version)

        return resumable(lambda: self._fetch(key, None, tag), part)

    def _fetch_openly(
        self, key: str, byte_range: ByteRange | None, tag: str | None
    ) -> _Found | None:
        """The same request with headers to be seen: a server that throttles says for how long."""
        reach = self._reach(key)
        if reach is None:
            return self._fetch(key, byte_range, tag)
        url, headers = reach
        if isinstance(byte_range, Range):
            stop = byte_range.start + byte_range.nbytes
            headers["Range"] = f"bytes={byte_range.start}-{stop - 1}"
        elif isinstance(byte_range, Suffix):
            headers["Range"] = f"bytes=-{byte_range.nbytes}"
        if tag is not None:
            headers["If-Match"] = tag
        what = "the object cannot be read"
        request = Request(url, headers=headers)  # noqa: S310  of this store's server
        try:
            with closing(urlopen(request, timeout=self.cloud.timeouts.idle_s)) as answer:  # noqa: S310
                data: bytes = answer.read()
                version = _version_of(answer.headers)
                if byte_range is None or answer.status == 206:  # noqa: PLR2004
                    return _Found(data, version)
                start, stop = span(byte_range, len(data), self.name, key)
                return _Found(data[start:stop], version)
        except HTTPError as error:
            told = Answer(error.code, error.read(1 << 16).decode("utf-8", "replace"))
            if is_absent(told, coded=self._coded):
                self._check_unbegun(key, tag)
                return None
            failed = self._replaced(failure(told, what, store=self.name, key=key), tag)
            if isinstance(failed, StoreThrottledError):
                failed.retry_after_s = parse_retry_after(error.headers.get("Retry-After"))
                failed.resume = lambda: self._fetch_openly(key, byte_range, tag)  # type: ignore[attr-defined]
            raise failed from error
        except (OSError, HTTPException) as error:
            told = Answer(None)
            raise failure(told, what, store=self.name, key=key, reason=str(error)) from error

    def _reach(self, key: str) -> tuple[str, dict[str, str]] | None:
        """A URL and headers that get an object without obstore; `None` where there are none."""
        cloud, path = self.cloud, self.cloud.path(key)
        if cloud.options.proxy is not None:
            return None  # what the standard library asks would pass it by
        if cloud.scheme == "http":
            return f"{cloud.bucket}/{quote(path)}", dict(cloud.options.headers)
        token = cloud.options.token
        if cloud.scheme == "gs" and token is not None:
            endpoint = cloud.options.endpoint or _GOOGLE
            headers = {"Authorization": f"Bearer {token}"}
            return f"{endpoint}/{quote(cloud.bucket)}/{quote(path)}", headers
        client: Any = self._client(0)
        try:
            return obstore.sign(client, "GET", path, _SIGNED_FOR), {}
        except (BaseError, OSError):
            return None  # not all credentials can sign

    def _put(self, key: str, value: Buffer, mode: Any) -> None:
        # obstore asks for bytes that are nobody else's to change while they are sent
        try:
            obstore.put(self._client(len(value)), self.cloud.path(key), value, mode=mode)
        except (BaseError, OSError) as error:
            raise self._failed(error, "the object cannot be written", key) from error

    def _client(self, nbytes: int) -> ObjectStore:
        """A client with the time that so many bytes may take; obstore has no limit a request."""
        step = self.cloud.timeouts.step(nbytes)
        client = self._clients.get(step)
        if client is None:
            client = self._clients[step] = _connect(self.cloud, step)
        return client

    def _entry(self, meta: Any) -> Entry | None:
        key = self.cloud.key(meta["path"])
        return Entry(key, int(meta["size"])) if key else None

    def _failed(self, error: BaseException, what: str, key: str | None) -> StoreError:
        answer = _answer(error)
        if answer.status is not None:
            return failure(answer, what, store=self.name, key=key)
        said = str(error)
        kind = _KIND.search(said)
        if kind is not None and kind[1] == "Timeout":
            return StoreTimeoutError(
                f"{what}: the server did not answer in time",
                store=self.name,
                key=key,
                hint="Try again, or pass longer timeouts in storage_options",
            )
        reason = said.split("\n\nDebug source", maxsplit=1)[0].split("\n", maxsplit=1)[0][:300]
        if kind is not None:
            return failure(answer, what, store=self.name, key=key, reason=reason)
        if _BAD_RANGE.search(said):
            return failure(Answer(416), what, store=self.name, key=key, reason=reason)
        if _NO_CREDENTIALS.search(said):
            return failure(Answer(401), what, store=self.name, key=key, reason=reason)
        return failure(Answer(400), what, store=self.name, key=key, reason=reason)


def _options(
    byte_range: ByteRange | None, tag: str | None, unlike: str | None
) -> dict[str, Any] | None:
    """What a request says besides the path, as obstore names it."""
    if byte_range is None and tag is None and unlike is None:
        return None
    options: dict[str, Any] = {}
    if isinstance(byte_range, Range):
        options["range"] = (byte_range.start, byte_range.start + byte_range.nbytes)
    elif isinstance(byte_range, Suffix):
        options["range"] = {"suffix": byte_range.nbytes}
    if tag is not None:
        options["if_match"] = tag
    if unlike is not None:
        options["if_none_match"] = unlike
    return options


def _data(found: _Found | None) -> Buffer | None:
    return None if found is None else found.data


def _version_of(headers: Mapping[str, str]) -> dict[str, str]:
    """As obstore names it."""
    found = {
        "e_tag": headers.get("ETag"),
        "version": headers.get("x-goog-generation") or headers.get("x-amz-version-id"),
    }
    return {name: value for name, value in found.items() if value}


def _connect(cloud: Cloud, step: int) -> ObjectStore:
    shared: dict[str, Any] = {
        "client_options": cloud.client_options(step),
        "retry_config": {"max_retries": 0, "retry_timeout": _SIGNED_FOR},
    }
    try:
        if cloud.scheme == "http":
            return HTTPStore(cloud.bucket, **cloud.config(), **shared)
        client: ObjectStore = _KINDS[cloud.scheme](cloud.bucket, **cloud.config(), **shared)
    except (BaseError, ValueError, TypeError) as error:
        said = redact(str(error).split("\n\nDebug source")[0])
        raise StoreError(f"cannot be opened: {said}", store=cloud.name) from error
    return client


def _answer(error: BaseException) -> Answer:
    """What the server answered, as far as the error's text tells it."""
    said = str(error)
    found = _STATUS.search(said)
    if found is not None:
        return Answer(int(found[1]), found[2] or "")
    if _GONE_IN_BULK.search(said):
        return Answer(404, "<Code>BlobNotFound</Code>")
    return Answer(None)
