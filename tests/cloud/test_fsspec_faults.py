"""What becomes of each fault where fsspec's clients make the requests: bytes or a typed error.

The requests are counted where the client makes one for an attempt. Where it makes more, or hides
what it waits for, the case says so. gcsfs speaks another API than the double, and adlfs insists on
Azure's own hosts: what their exceptions mean is in `tests/stores/test_clients.py`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from emulation.faultproxy import Rule

import zlab
from zlab.errors import (
    ChunkReadError,
    StoreCredentialsError,
    StoreError,
    StorePermissionError,
    StoreThrottledError,
    StoreTimeoutError,
    StoreTransientError,
)
from zlab.stores.base import Range, Suffix
from zlab.stores.networks import FsspecBackend
from zlab.stores.open import store_from
from zlab.stores.remote import RemoteStore

if TYPE_CHECKING:
    from collections.abc import Callable

    from emulation.buckets import Bucket

BYTES = np.random.default_rng(0).integers(0, 256, 100_000, "u1").tobytes()
RETRY = {"attempts": 4, "base_s": 0.01, "cap_s": 0.05, "deadline_s": 20}
WAITS = {"connect_s": 2.0, "idle_s": 1.0}


@pytest.fixture(
    params=[
        pytest.param("s3", marks=pytest.mark.needs("cloud", "moto")),
        pytest.param("http", marks=pytest.mark.needs("cloud", "nginx")),
    ]
)
def bucket(request: pytest.FixtureRequest, bucket_of: Callable[[str], Bucket]) -> Bucket:
    """A new bucket of each kind."""
    return bucket_of(request.param)


def options_of(bucket: Bucket, **more: Any) -> dict[str, Any]:
    options: dict[str, Any] = {"engine": "fsspec", "retry": RETRY, **WAITS, **more}
    if bucket.scheme == "s3":
        options |= {"endpoint_url": bucket.proxy.url, "key": "test", "secret": "test"}
    return options


def store_of(bucket: Bucket, path: str = "", **more: Any) -> RemoteStore:
    store, _ = store_from(bucket.url(path), mode="a", storage_options=options_of(bucket, **more))
    assert isinstance(store, RemoteStore)
    assert isinstance(store.backend, FsspecBackend)
    return store


@dataclass(frozen=True)
class Case:
    """A fault, and what is to become of a read under it.

    Attributes:
        rule: What is done.
        requests: That reach the proxy; `None` where the client hides some.
        error: What is raised; `None` where the right bytes come.
    """

    name: str
    rule: Rule
    requests: int | None
    error: type[StoreError] | None = None


def coded(code: str) -> bytes:
    return f"<Error><Code>{code}</Code></Error>".encode()


def status(code: int, times: int | None = None, body: bytes = b"") -> Rule:
    return Rule("status", times=times, status=code, body=body)


CASES = [
    Case("503 three times", status(503, 3, coded("SlowDown")), 4),
    Case("429 three times", status(429, 3), 4),
    Case("500 three times", status(500, 3), 4),
    # aiohttp repeats by itself what was cut before an answer on a connection that it had kept
    Case("cut before an answer, once", Rule("refuse", times=1), None),
    Case("reset in the body, once", Rule("reset", times=1), 2),
    Case("truncated once", Rule("truncate", times=1), 2),
    Case("no answer, once", Rule("stall", times=1), 2),
    Case("stalled in the body, once", Rule("stall_body", times=1), 2),
    Case("503 always", status(503, None, coded("SlowDown")), 4, StoreThrottledError),
    Case("500 always", status(500), 4, StoreTransientError),
    Case("cut always", Rule("refuse"), None, StoreTransientError),
    Case("no answer, ever", Rule("stall"), 4, StoreTimeoutError),
    Case("403", status(403, body=coded("AccessDenied")), 1, StorePermissionError),
    Case("401", status(401), 1, StoreCredentialsError),
    Case("400", status(400), 1, StoreError),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_chunk_is_read_or_an_error_is_raised(
    bucket: Bucket, case: Case, record_property: Callable[[str, object], None]
) -> None:
    bucket.put("a.zarr/c/0", BYTES)
    store = store_of(bucket, "a.zarr")
    bucket.proxy.fail(replace(case.rule, match="c/0", method="GET"))
    if case.error is None:
        assert bytes(store.get("c/0") or b"") == BYTES
    else:
        with pytest.raises(case.error) as caught:
            store.get("c/0")
        assert caught.value.key == "c/0"
        assert caught.value.attempts == (case.requests or RETRY["attempts"])
    requests = len(bucket.proxy.of("c/0", "GET"))
    assert case.requests in (None, requests)
    told = f"{requests}" if case.requests else f"({requests})"
    record_property("outcome", f"{case.error.__name__ if case.error else 'bytes'}, {told}")
    bucket.proxy.fail()


@pytest.mark.parametrize("code", [429, 503])
def test_waits_are_at_least_what_the_server_asks(bucket: Bucket, code: int) -> None:
    bucket.put("c/0", BYTES)
    store = store_of(bucket)
    bucket.proxy.fail(
        Rule("status", "c/0", times=2, status=code, headers={"Retry-After": "1"}),
    )
    assert bytes(store.get("c/0") or b"") == BYTES
    at = [seen.at for seen in bucket.proxy.of("c/0", "GET")]
    assert len(at) == 3
    assert min(at[1] - at[0], at[2] - at[1]) >= 1.0


def test_off_is_one_request(bucket: Bucket) -> None:
    bucket.put("c/0", BYTES)
    store = store_of(bucket, retry="off")
    bucket.proxy.fail(replace(status(500), match="c/0"))
    with pytest.raises(StoreTransientError):
        store.get("c/0")
    assert len(bucket.proxy.seen) == 1


def test_ranges(bucket: Bucket) -> None:
    bucket.put("c/0", BYTES)
    store = store_of(bucket)
    assert store.get("c/0", Range(10, 5)) == BYTES[10:15]
    assert store.get("c/0", Suffix(7)) == BYTES[-7:]
    assert store.get("absent") is None
    bucket.proxy.fail(Rule("ignore_range", "c/0"))
    assert store.get("c/0", Range(10, 5)) == BYTES[10:15]
    bucket.proxy.fail(Rule("page", "c/0"))
    with pytest.raises(StoreError):
        store.get("c/0", Range(1000, 50))
    bucket.proxy.fail()


# a web server has no codes: each 404 of one is an absent key
@pytest.mark.needs("cloud", "moto")
@pytest.mark.parametrize(
    "rule",
    [
        status(404, body=b"<html>no</html>"),
        status(404, body=coded("NoSuchBucket")),
        Rule("page"),
        Rule("corrupt"),
    ],
    ids=["proxy's 404", "no bucket", "page", "corrupt"],
)
def test_a_chunk_is_never_fill_where_it_was_not_told_absent(
    bucket_of: Callable[[str], Bucket], rule: Rule
) -> None:
    bucket = bucket_of("s3")
    array = zlab.create_array(
        bucket.url("a.zarr"),
        data=np.arange(5000, dtype="i4"),
        chunks=1000,
        fill_value=-1,
        compressors=["crc32c"],
        storage_options=options_of(bucket),
    )
    bucket.proxy.fail(replace(rule, match="c/2", method="GET"))
    with pytest.raises(ChunkReadError) as caught:
        array[...]
    assert caught.value.coords == (2,)
    bucket.proxy.fail()


@pytest.mark.needs("cloud", "moto")
def test_arrays_are_written_listed_and_deleted(bucket_of: Callable[[str], Bucket]) -> None:
    bucket = bucket_of("s3")
    values = np.arange(20, dtype="f4")
    group = zlab.create_group(bucket.url("g"), storage_options=options_of(bucket))
    array = group.create_array("a", data=values, chunks=6)
    assert (array[3:] == values[3:]).all()
    assert array.nchunks_initialized == 4
    store = store_of(bucket, "g")
    assert {key for key, tag in store.list_versions("a") if tag is not None} == {
        "a/zarr.json",
        *(f"a/c/{n}" for n in range(4)),
    }
    store.delete_prefix("a")
    assert [entry.key for entry in store.list()] == ["zarr.json"]
