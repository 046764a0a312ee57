"""The client libraries below fsspec: what their exceptions mean, and their own retries, off.

None of them is imported: an exception is known by the module of its class. Where a library hides
what the server has said, it is not known here either: gcsfs keeps no headers and no code of a 404,
aiohttp no body.
"""

from __future__ import annotations

import re
from types import MethodType
from typing import TYPE_CHECKING, Any, NamedTuple

from zlab.errors import StoreCredentialsError, StoreTimeoutError, StoreTransientError
from zlab.stores.answers import Answer
from zlab.stores.retry import parse_retry_after

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from fsspec import AbstractFileSystem

    from zlab.errors import StoreError
    from zlab.stores.cloud import Timeouts

_TIMEOUT = {"TimeoutError", "ReadTimeoutError", "ConnectTimeoutError"} | {
    "ServiceRequestTimeoutError",
    "ServiceResponseTimeoutError",
    "ReadTimeout",
    "ConnectTimeout",
}
_BROKEN = {
    "aiohttp": {"ClientConnectionError", "ClientPayloadError"},
    "azure": {"IncompleteReadError", "ServiceRequestError", "ServiceResponseError"},
    "botocore": {"ConnectionError", "HTTPClientError", "IncompleteReadError"},
    "builtins": {"ConnectionError"},
    "http": {"IncompleteRead"},
    "requests": {"ChunkedEncodingError", "ConnectionError"},
}
_WHO = {
    "CredentialRetrievalError",
    "DefaultCredentialsError",
    "NoCredentialsError",
    "PartialCredentialsError",
    "RefreshError",
    "TokenRetrievalError",
}
_FORBIDDEN = re.compile(r"Forbidden: ")
_CONNECTIONS = 128


class Heard(NamedTuple):
    """What a server answered, by the exception that came of it.

    Attributes:
        answer: The answer.
        coded: Whether it would say with a code what is missing.
        retry_after_s: How long it wants to be left alone, where that is told.
    """

    answer: Answer
    coded: bool = False
    retry_after_s: float | None = None


def heard_in(error: BaseException) -> Heard | None:
    """What a server answered, as far as an exception and its causes tell."""
    for one in _causes(error):
        match _library(type(one)):
            case "aiohttp":
                found = _of_aiohttp(one)
            case "botocore":
                found = _of_botocore(one)
            case "azure":
                found = _of_azure(one)
            case "gcsfs":
                found = _of_gcsfs(one)
            case _:
                found = None
        if found is not None:
            return found
        if type(one) is OSError and _FORBIDDEN.match(str(one)):  # gcsfs's word for 403
            return Heard(Answer(403))
    return None


def kind_of(error: BaseException) -> type[StoreError] | None:
    """The class of a failure without an answer; `None` where it is not known to be one."""
    for one in _causes(error):
        for base in type(one).__mro__:
            if base.__name__ in _TIMEOUT:
                return StoreTimeoutError
            if base.__name__ in _WHO:
                return StoreCredentialsError
        for base in type(one).__mro__:
            if base.__name__ in _BROKEN.get(_library(base), ()):
                return StoreTransientError
    return None


def quiet_options(protocol: str, options: Mapping[str, Any], timeouts: Timeouts) -> dict[str, Any]:
    """Options of a filesystem, such that it makes one attempt and waits no longer than this.

    Args:
        protocol: Of the URL, such as `"s3"`.
        options: What the user gives, which is kept.
        timeouts: How long is waited.
    """
    found = dict(options)
    match protocol:
        case "s3" | "s3a":
            # a whole object by one request: else its size is asked for first
            found.setdefault("max_concurrency", 1)
            found["config_kwargs"] = {
                "retries": {"mode": "standard", "total_max_attempts": 1},
                "connect_timeout": timeouts.connect_s,
                "read_timeout": timeouts.idle_s,
                "max_pool_connections": _CONNECTIONS,
                **(found.get("config_kwargs") or {}),
            }
        case "http" | "https":
            from aiohttp import ClientTimeout  # noqa: PLC0415  where it is there to be used

            waits = ClientTimeout(
                total=None, sock_connect=timeouts.connect_s, sock_read=timeouts.idle_s
            )
            found["client_kwargs"] = {"timeout": waits, **(found.get("client_kwargs") or {})}
        case "gs" | "gcs":
            found.setdefault("requests_timeout", timeouts.idle_s)
        case "az" | "abfs" | "abfss":
            found.setdefault("connection_timeout", int(timeouts.connect_s) or 1)
            found.setdefault("read_timeout", int(timeouts.idle_s) or 1)
        case _:
            pass
    return found


def silence(fs: AbstractFileSystem) -> None:
    """Has a filesystem that zlab made tell of a failure at once, where it has no option for it."""
    match _library(type(fs)):
        case "s3fs":
            fs.retries = 1
        case "gcsfs":
            once = getattr(type(fs)._request, "__wrapped__", None)  # noqa: SLF001  below its retries
            if once is not None:
                fs._request = MethodType(once, fs)  # noqa: SLF001
        case "adlfs":
            policy = getattr(getattr(fs.service_client, "_config", None), "retry_policy", None)
            if policy is not None:
                policy.total_retries = 0
        case _:
            pass


def _causes(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    one: BaseException | None = error
    while one is not None and id(one) not in seen:
        seen.add(id(one))
        yield one
        one = one.__cause__ or (None if one.__suppress_context__ else one.__context__)


def _library(kind: type) -> str:
    return kind.__module__.partition(".")[0]


def _of_aiohttp(error: Any) -> Heard | None:
    status = getattr(error, "status", None)
    if not isinstance(status, int) or not status:
        return None
    headers = getattr(error, "headers", None) or {}
    return Heard(Answer(status), retry_after_s=parse_retry_after(headers.get("Retry-After")))


def _of_botocore(error: Any) -> Heard | None:
    response = getattr(error, "response", None)
    if not isinstance(response, dict):
        return None
    told, about = response.get("Error", {}), response.get("ResponseMetadata", {})
    status = about.get("HTTPStatusCode")
    if status is None:
        return None
    headers = about.get("HTTPHeaders", {})
    answer = _answer(status, told.get("Code"), told.get("Message"), about.get("RequestId"))
    # the answer to HEAD has no body that would hold one
    coded = not str(getattr(error, "operation_name", "")).startswith("Head")
    return Heard(answer, coded, parse_retry_after(headers.get("retry-after")))


def _of_azure(error: Any) -> Heard | None:
    status = getattr(error, "status_code", None)
    if not isinstance(status, int) or status < 400:  # noqa: PLR2004
        return None  # of an answer that began well and broke off
    headers = getattr(getattr(error, "response", None), "headers", None) or {}
    code = headers.get("x-ms-error-code") or getattr(error, "error_code", None)
    answer = _answer(status, getattr(code, "value", code), None, headers.get("x-ms-request-id"))
    return Heard(answer, coded=True, retry_after_s=parse_retry_after(headers.get("Retry-After")))


def _of_gcsfs(error: Any) -> Heard | None:
    code = getattr(error, "code", None)
    if not str(code).isdigit():
        return None
    return Heard(_answer(int(str(code)), None, str(getattr(error, "message", "")), None))


def _answer(status: int, code: object, message: object, request_id: object) -> Answer:
    """An answer as the clouds write it."""
    parts = {"Code": code, "Message": message, "RequestId": request_id}
    told = "".join(f"<{name}>{value}</{name}>" for name, value in parts.items() if value)
    return Answer(int(status), f"<Error>{told}</Error>")
