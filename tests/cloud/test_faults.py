"""What becomes of each fault, on each cloud: right bytes or a typed error, and never fill.

The requests that reach the server are counted. Of an answer that throttles through obstore the
headers are lost, so `Retry-After` is honoured from the second such answer on.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from emulation.faultproxy import Rule

import zlab
from zlab.errors import (
    ChunkReadError,
    StoreConflictError,
    StoreCredentialsError,
    StoreError,
    StorePermissionError,
    StoreThrottledError,
    StoreTimeoutError,
    StoreTransientError,
)
from zlab.stores.base import Range

if TYPE_CHECKING:
    from collections.abc import Callable

    from emulation.buckets import Bucket

BYTES = np.random.default_rng(0).integers(0, 256, 400_000, "u1").tobytes()


@dataclass(frozen=True)
class Case:
    """A fault, and what is to become of a read under it.

    Attributes:
        rule: What is done.
        requests: That reach the proxy.
        error: What is raised; `None` where the right bytes come.
    """

    name: str
    rule: Rule
    requests: int
    error: type[StoreError] | None = None


def coded(code: str) -> bytes:
    return f"<Error><Code>{code}</Code></Error>".encode()


def status(code: int, times: int | None = None, body: bytes = b"", **headers: str) -> Rule:
    return Rule("status", times=times, status=code, headers=headers, body=body)


CASES = [
    Case("503 three times", status(503, 3, coded("SlowDown")), 4),
    Case("429 three times", status(429, 3), 4),
    Case("500 three times", status(500, 3), 4),
    Case("408 once", status(408, 1), 2),
    Case("cut before an answer, once", Rule("refuse", times=1), 2),
    Case("reset in the body, once", Rule("reset", times=1), 2),
    Case("truncated once", Rule("truncate", times=1), 2),
    Case("no answer, once", Rule("stall", times=1), 2),
    Case("stalled in the body, once", Rule("stall_body", times=1), 2),
    Case("503 always", status(503, None, coded("SlowDown")), 4, StoreThrottledError),
    Case("500 always", status(500), 4, StoreTransientError),
    Case("cut always", Rule("refuse"), 4, StoreTransientError),
    Case("no answer, ever", Rule("stall"), 4, StoreTimeoutError),
    Case(
        "403",
        status(403, body=b"<Error><Code>AccessDenied</Code></Error>"),
        1,
        StorePermissionError,
    ),
    Case("401", status(401), 1, StoreCredentialsError),
    Case(
        "expired token",
        status(400, body=b"<Error><Code>ExpiredToken</Code></Error>"),
        2,
        StoreCredentialsError,
    ),
    Case("400", status(400), 1, StoreError),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_chunk_is_read_or_an_error_is_raised(
    bucket: Bucket, case: Case, record_property: Callable[[str, object], None]
) -> None:
    bucket.put("a.zarr/c/0", BYTES)
    store = bucket.store("a.zarr")
    rule = case.rule
    bucket.proxy.fail(
        Rule(rule.fault, "c/0", "GET", rule.times, 0, rule.status, rule.headers, rule.body)
    )
    if case.error is None:
        assert bytes(store.get("c/0") or b"") == BYTES
    else:
        with pytest.raises(case.error) as caught:
            store.get("c/0")
        assert caught.value.attempts == case.requests
        assert caught.value.key == "c/0"
        assert "test" not in str(caught.value).replace(bucket.name, "")
    requests = len(bucket.proxy.of("c/0", "GET"))
    assert requests == case.requests
    record_property("outcome", f"{case.error.__name__ if case.error else 'bytes'}, {requests}")
    bucket.proxy.fail()


@pytest.mark.parametrize("fault", ["reset", "truncate", "stall_body"])
def test_a_body_that_breaks_off_is_fetched_from_there_on(bucket: Bucket, fault: str) -> None:
    bucket.put("c/0", BYTES)
    bucket.proxy.fail(Rule(fault, "c/0", "GET", times=1))  # type: ignore[arg-type]  # of these
    assert bytes(bucket.store().get("c/0") or b"") == BYTES
    first, second = bucket.proxy.of("c/0", "GET")
    assert first.byte_range is None
    assert second.byte_range is not None
    start = int(second.byte_range.removeprefix("bytes=").split("-")[0])
    assert 0 < start <= len(BYTES) // 2


@pytest.mark.parametrize(
    "second", [Rule("truncate"), status(503, body=coded("SlowDown"))], ids=lambda rule: rule.fault
)
def test_a_body_that_breaks_off_twice_loses_nothing(bucket: Bucket, second: Rule) -> None:
    bucket.put("c/0", BYTES)
    rules = [replace(rule, match="c/0", times=1) for rule in (Rule("reset"), second, Rule("reset"))]
    bucket.proxy.fail(*rules)
    assert bytes(bucket.store().get("c/0") or b"") == BYTES
    bucket.proxy.fail(*[replace(rule, times=1) for rule in rules])
    assert bytes(bucket.store().get("c/0", Range(1, 300_000)) or b"") == BYTES[1:300_001]


@pytest.mark.parametrize(
    "rule", [Rule("reset"), status(503, body=coded("SlowDown"))], ids=lambda rule: rule.fault
)
def test_a_tag_comes_with_what_was_tried_again(cloud: Bucket, rule: Rule) -> None:
    cloud.put("k", BYTES)
    store = cloud.store()
    before = store.get_tagged("k")
    cloud.proxy.fail(replace(rule, match="/k", times=2))
    found = store.get_tagged("k")
    assert before is not None
    assert found is not None
    assert (bytes(found[0]), found[1]) == (BYTES, before[1])


def test_a_look_at_what_is_there_is_not_taken_for_the_write(cloud: Bucket) -> None:
    store = cloud.store()
    store.put_if("k", b"theirs", None)
    cloud.proxy.fail(status(503, 1, coded("SlowDown")))
    cloud.proxy.rules[0].method = "GET"
    with pytest.raises(StoreConflictError):
        store.put_if("k", b"mine", None)
    assert store.get("k") == b"theirs"


def test_an_object_that_is_replaced_in_between_is_read_anew(cloud: Bucket) -> None:
    cloud.put("c/0", BYTES)
    other = bytes(reversed(BYTES))
    store = cloud.store()
    # the first answer breaks off, the second one is of other bytes
    cloud.proxy.fail(Rule("truncate", "c/0", "GET", times=1))
    answers = iter([None])
    proceed = store.backend.get

    def get(key: str, byte_range: object) -> object:
        try:
            return proceed(key, byte_range)  # type: ignore[arg-type]  # as it came
        except StoreError:
            if next(answers, "done") is None:
                cloud.put("c/0", other)
            raise

    store.backend.get = get  # type: ignore[method-assign,assignment]
    assert bytes(store.get("c/0") or b"") == other


@pytest.mark.parametrize("code", [429, 503])
def test_waits_are_at_least_what_the_server_asks(bucket: Bucket, code: int) -> None:
    bucket.put("c/0", BYTES)
    bucket.proxy.fail(
        Rule("status", "c/0", "GET", times=3, status=code, headers={"Retry-After": "1"})
    )
    assert bytes(bucket.store().get("c/0") or b"") == BYTES
    at = [seen.at for seen in bucket.proxy.of("c/0", "GET")]
    assert len(at) == 4
    # the first answer's headers are lost in obstore; those of the others are seen
    assert at[2] - at[1] >= 1.0
    assert at[3] - at[2] >= 1.0


def test_off_is_one_request(bucket: Bucket) -> None:
    bucket.put("c/0", BYTES)
    store = bucket.store(retry="off")
    bucket.proxy.fail(status(500))
    with pytest.raises(StoreTransientError):
        store.get("c/0")
    assert len(bucket.proxy.seen) == 1


# Azure signs the range: it cannot be taken away on the way
@pytest.mark.parametrize(
    "scheme",
    [
        pytest.param(scheme, marks=pytest.mark.needs("cloud", server))
        for scheme, server in {"s3": "moto", "gs": "moto", "http": "nginx"}.items()
    ],
)
def test_of_a_server_that_knows_no_ranges_the_whole_is_cut(
    bucket_of: Callable[[str], Bucket], scheme: str
) -> None:
    bucket = bucket_of(scheme)
    bucket.put("c/0", BYTES)
    bucket.proxy.fail(Rule("ignore_range", "c/0"))
    store = bucket.store()
    assert bytes(store.get("c/0", Range(1000, 50)) or b"") == BYTES[1000:1050]
    # also where the whole does not come at once
    throttles = replace(status(503, 2, coded("SlowDown")), match="c/0", skip=1)
    bucket.proxy.fail(throttles, Rule("ignore_range", "c/0"))
    assert bytes(store.get("c/0", Range(1000, 50)) or b"") == BYTES[1000:1050]


def test_a_page_in_an_objects_stead_is_no_part_of_it(bucket: Bucket) -> None:
    bucket.put("c/0", BYTES)
    bucket.proxy.fail(Rule("page", "c/0"))
    with pytest.raises(StoreError):
        bucket.store().get("c/0", Range(1000, 50))


@pytest.mark.parametrize(
    "rule",
    [status(404, body=b"<html>no</html>"), Rule("page"), Rule("corrupt")],
    ids=lambda rule: rule.fault,
)
def test_a_chunk_is_never_fill_where_it_was_not_told_absent(cloud: Bucket, rule: Rule) -> None:
    array = zlab.create_array(
        cloud.store("a.zarr"),
        data=np.arange(5000, dtype="i4"),
        chunks=1000,
        fill_value=-1,
        # no cloud sends a checksum along that would tell
        compressors=["crc32c"],
    )
    cloud.proxy.fail(Rule(rule.fault, "c/2", "GET", status=rule.status, body=rule.body))
    with pytest.raises(ChunkReadError) as caught:
        array[...]
    assert caught.value.coords == (2,)


@pytest.mark.parametrize("fault", ["lost_ack", "lost_ack_500", "lost_ack_stall"])
@pytest.mark.parametrize("exists", [False, True], ids=["new", "existing"])
def test_a_conditional_write_whose_answer_is_lost_happens_once(
    cloud: Bucket, fault: str, exists: bool
) -> None:
    store = cloud.store()
    tag = None
    if exists:
        store.put("k", b"old")
        _, tag = store.get_tagged("k") or (b"", "")
    cloud.proxy.fail(Rule(fault, "/k", "PUT", times=1))  # type: ignore[arg-type]  # of these
    store.put_if("k", b"mine", tag)
    assert store.get("k") == b"mine"
    assert len(cloud.proxy.of("/k", "PUT")) == 1


@pytest.mark.parametrize("fault", ["lost_ack", "lost_ack_500", "lost_ack_stall", "refuse", "stall"])
def test_a_write_is_repeated_until_it_is_acknowledged(cloud: Bucket, fault: str) -> None:
    store = cloud.store()
    cloud.proxy.fail(Rule(fault, "/k", "PUT", times=1))  # type: ignore[arg-type]  # of these
    store.put("k", BYTES)
    assert bytes(store.get("k") or b"") == BYTES
    assert len(cloud.proxy.of("/k", "PUT")) == 2


def test_a_listing_that_fails_is_an_error_and_not_an_empty_store(cloud: Bucket) -> None:
    store = cloud.store()
    store.put("a/b", b"x")
    cloud.proxy.fail(Rule("status", method="GET", times=2))
    assert [entry.key for entry in store.list()] == ["a/b"]
    cloud.proxy.fail(Rule("status", method="GET"))
    with pytest.raises(StoreThrottledError):
        [*store.list()]
    with pytest.raises(StoreThrottledError):
        store.list_dir()
    cloud.proxy.fail()
