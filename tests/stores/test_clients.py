"""What exceptions of client libraries mean, made as the libraries make them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from zlab.errors import (
    StoreConflictError,
    StoreCredentialsError,
    StoreError,
    StoreNotFoundError,
    StorePermissionError,
    StoreThrottledError,
    StoreTimeoutError,
    StoreTransientError,
)
from zlab.stores.answers import failure, is_absent
from zlab.stores.clients import heard_in, kind_of
from zlab.stores.cloud import Timeouts
from zlab.stores.networks import FsspecBackend, Policy
from zlab.stores.open import store_from
from zlab.stores.remote import RemoteStore
from zlab.stores.retry import RetryPolicy

pytestmark = pytest.mark.needs("cloud")


def wrapped(error: BaseException, kind: type[BaseException] = OSError) -> BaseException:
    """As libraries tell of another's error."""
    outer = kind("as told to the user")
    outer.__cause__ = error
    return outer


def of_botocore(
    status: int, code: str, operation: str = "GetObject", **headers: str
) -> BaseException:
    from botocore.exceptions import ClientError

    answer: Any = {
        "Error": {"Code": code, "Message": "it is said"},
        "ResponseMetadata": {
            "HTTPStatusCode": status,
            "RequestId": "R1",
            "HTTPHeaders": {name.replace("_", "-"): value for name, value in headers.items()},
        },
    }
    return wrapped(ClientError(answer, operation), FileNotFoundError if status == 404 else OSError)


def of_aiohttp(status: int, **headers: str) -> BaseException:
    from aiohttp import ClientResponseError
    from multidict import CIMultiDict

    given: Any = {name.replace("_", "-"): value for name, value in headers.items()}
    about: Any = SimpleNamespace(real_url="http://there/k")
    return ClientResponseError(about, (), status=status, headers=CIMultiDict(given))


def of_azure(status: int, code: str | None, **headers: str) -> BaseException:
    from azure.core.exceptions import HttpResponseError

    class Response:
        status_code = status
        reason = "for a reason"
        headers: dict[str, str]

        def text(self) -> str:
            return ""

    response = Response()
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    response.headers = given | ({} if code is None else {"x-ms-error-code": code})
    told: Any = response
    return HttpResponseError("message", response=told)


def of_gcsfs(status: int, message: str) -> BaseException:
    gcsfs: Any = pytest.importorskip("gcsfs")
    error: BaseException = gcsfs.retry.HttpError({"code": status, "message": message})
    return error


def test_answers_are_found_in_what_libraries_raise() -> None:
    for error, kind in [
        (of_botocore(503, "SlowDown"), StoreThrottledError),
        (of_botocore(404, "NoSuchBucket"), StoreNotFoundError),
        (of_botocore(403, "AccessDenied"), StorePermissionError),
        (of_botocore(403, "SignatureDoesNotMatch"), StoreCredentialsError),
        (of_botocore(400, "RequestTimeout"), StoreTransientError),
        (of_aiohttp(429), StoreThrottledError),
        (of_aiohttp(500), StoreTransientError),
        (of_aiohttp(401), StoreCredentialsError),
        (of_azure(404, "ContainerNotFound"), StoreNotFoundError),
        (of_azure(503, "ServerBusy"), StoreThrottledError),
        (of_azure(412, "ConditionNotMet"), StoreConflictError),
        (of_gcsfs(429, "slow down"), StoreThrottledError),
        (of_gcsfs(401, "Invalid Credentials"), StoreCredentialsError),
        (OSError("Forbidden: https://storage\nno"), StorePermissionError),
    ]:
        heard = heard_in(error)
        assert heard is not None
        failed = failure(heard.answer, "it cannot be read", store="s", key="k")
        assert type(failed) is kind, error
    heard = heard_in(of_botocore(503, "SlowDown"))
    assert heard is not None
    assert heard.answer.request_id == "R1"


def test_only_a_missing_key_is_absent() -> None:
    for error, is_it in [
        (of_botocore(404, "NoSuchKey"), True),
        (of_botocore(404, "NoSuchBucket"), False),
        (of_botocore(404, "404"), False),  # a proxy's page
        (of_botocore(404, "404", "HeadObject"), True),  # whose answer has no body
        (of_botocore(403, "NoSuchKey"), False),
        (of_azure(404, "BlobNotFound"), True),
        (of_azure(404, "ContainerNotFound"), False),
        (of_azure(404, None), False),
        (of_aiohttp(404), True),
        (of_aiohttp(403), False),
    ]:
        heard = heard_in(error)
        assert heard is not None
        assert is_absent(heard.answer, coded=heard.coded) is is_it, heard


def test_how_long_the_server_wants_to_be_left_alone_is_known() -> None:
    for error in (
        of_botocore(503, "SlowDown", retry_after="7"),
        wrapped(of_aiohttp(429, Retry_After="7")),
        of_azure(503, "ServerBusy", Retry_After="7"),
    ):
        heard = heard_in(error)
        assert heard is not None
        assert heard.retry_after_s == 7


def without_answer() -> list[tuple[BaseException, type[StoreError] | None]]:
    import aiohttp
    from azure.core.exceptions import IncompleteReadError, ServiceResponseTimeoutError
    from botocore.exceptions import (
        ConnectTimeoutError,
        EndpointConnectionError,
        NoCredentialsError,
        ReadTimeoutError,
        ResponseStreamingError,
    )
    from fsspec.exceptions import FSTimeoutError

    at = {"endpoint_url": "http://there", "error": "x"}
    return [
        (TimeoutError(), StoreTimeoutError),
        (FSTimeoutError(), StoreTimeoutError),
        (aiohttp.ServerTimeoutError(), StoreTimeoutError),
        (ReadTimeoutError(**at), StoreTimeoutError),
        (ConnectTimeoutError(**at), StoreTimeoutError),
        (ServiceResponseTimeoutError("x"), StoreTimeoutError),
        (EndpointConnectionError(**at), StoreTransientError),
        (ResponseStreamingError(error="x"), StoreTransientError),
        (aiohttp.ClientPayloadError(), StoreTransientError),
        (aiohttp.ServerDisconnectedError(), StoreTransientError),
        (IncompleteReadError(), StoreTransientError),
        (ConnectionResetError(), StoreTransientError),
        (wrapped(ConnectionRefusedError()), StoreTransientError),
        (NoCredentialsError(), StoreCredentialsError),
        (aiohttp.InvalidURL("x"), None),
        (OSError(5, "boom"), None),
        (ValueError("x"), None),
    ]


def test_what_fails_without_an_answer_has_its_class_too() -> None:
    for error, kind in without_answer():
        assert heard_in(error) is None
        assert kind_of(error) is kind, error


def test_options_of_the_policy_are_not_the_librarys() -> None:
    options: dict[str, Any] = {"retry": "off", "requests": 3, "idle_s": 2.0, "anon": True}
    policy = Policy.take(options)
    assert options == {"anon": True}
    assert policy.retry == RetryPolicy(attempts=1)
    assert policy.limits is not None
    assert policy.limits.requests == 3
    assert policy.timeouts == Timeouts(idle_s=2.0)


@pytest.mark.parametrize(
    ("url", "options", "place"),
    [
        (
            "s3://bucket/a",
            {"endpoint_url": "http://127.0.0.1:9", "key": "k", "secret": "s"},
            "s3://bucket@http://127.0.0.1:9",
        ),
        ("http://127.0.0.1:9/a/b", {}, "http://127.0.0.1:9"),
        ("gs://bucket/a", {"token": "anon"}, "gs://bucket@"),
        ("az://bucket/a", {"account_name": "me", "anon": True}, "az://bucket@me"),
    ],
    ids=["s3", "http", "gs", "az"],
)
def test_each_librarys_own_retries_are_off(url: str, options: dict[str, Any], place: str) -> None:
    store, _ = store_from(
        url, storage_options={"engine": "fsspec", "retry": {"attempts": 3}, **options}
    )
    assert isinstance(store, RemoteStore)
    assert isinstance(store.backend, FsspecBackend)
    assert store.policy.attempts == 3
    assert store.limiter is not None
    assert store.backend.place == place
    assert not store.conditional
    fs = store.backend.store.fs
    match fs.protocol[0] if not isinstance(fs.protocol, str) else fs.protocol:
        case "s3":
            assert fs.retries == 1
            assert fs.config_kwargs["retries"]["total_max_attempts"] == 1
            assert fs.max_concurrency == 1
        case "http":
            assert fs.client_kwargs["timeout"].sock_read == 10
        case "gs" | "gcs":
            assert fs._request.__func__ is type(fs)._request.__wrapped__
        case _:
            assert fs.service_client._config.retry_policy.total_retries == 0
    with pytest.raises(StoreError, match="cannot make a write depend"):
        store.get_tagged("k")
