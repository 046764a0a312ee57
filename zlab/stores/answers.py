"""What an answer of a server means: the one place that knows status codes and clouds' codes.

Source: the lists of error codes of Amazon S3, Azure Blob Storage and the XML API of Google Cloud
Storage; RFC 9110, section 15.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from zlab.errors import (
    CorruptObjectError,
    StoreConflictError,
    StoreCredentialsError,
    StoreError,
    StoreNotFoundError,
    StorePermissionError,
    StoreRangeError,
    StoreThrottledError,
    StoreTimeoutError,
    StoreTransientError,
)
from zlab.stores.base import redact

_NO_CONTAINER = {
    "NoSuchBucket",
    "ContainerNotFound",
    "ContainerBeingDeleted",
    "ContainerDisabled",
    "AccountNotFound",
    "UserProjectAccountProblem",
}
_NO_KEY = {"NoSuchKey", "BlobNotFound", "ResourceNotFound", "NoSuchVersion", "NoSuchUpload"}
_EXPIRED = {"ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired", "RequestExpired"}
_UNKNOWN_WHO = {
    "AuthenticationFailed",
    "AuthenticationRequired",
    "InvalidAccessKeyId",
    "InvalidAuthenticationInfo",
    "InvalidSecurity",
    "InvalidToken",
    "MissingSecurityHeader",
    "NoAuthenticationInformation",
    "SignatureDoesNotMatch",
}
_THROTTLED = {
    "EgressIsOverAccountLimit",
    "IngressIsOverAccountLimit",
    "OperationsPerSecondIsOverAccountLimit",
    "RequestLimitExceeded",
    "ServerBusy",
    "SlowDown",
    "Throttling",
    "ThrottlingException",
    "TooManyRequests",
}
_TRANSIENT = {
    "ConditionalRequestConflict",
    "InternalError",
    "OperationAborted",
    "OperationTimedOut",
    "RequestTimeout",
    "ServiceUnavailable",
}
_CODE = re.compile(r"<Code>([A-Za-z]+)</Code>|x-ms-error-code: ([A-Za-z]+)")
_REQUEST_ID = re.compile(r"<RequestId>([^<\s]{1,100})</RequestId>|RequestId:([0-9a-fA-F-]{8,64})")
_MESSAGE = re.compile(r"<Message>([^<]{1,300})")

_HINTS: dict[type[StoreError], str] = {
    StoreNotFoundError: "Check the name of the bucket or container, the endpoint and the account",
    StorePermissionError: "The credentials that are used may not do this; ask who owns the data",
    StoreCredentialsError: "Log in again, or pass credentials in storage_options; for public data "
    "pass storage_options={'anonymous': True}",
    StoreThrottledError: "Ask less at once, with storage_options={'requests': 8}, or store "
    "larger chunks",
    StoreTimeoutError: "Try again, or pass longer timeouts in storage_options",
    StoreTransientError: "Try again; the storage or the network on the way to it is in trouble",
    StoreConflictError: "Somebody else wrote it; read it again and repeat the change",
    StoreRangeError: "It is shorter than expected: truncated, or replaced while it was read",
    CorruptObjectError: "A proxy or a login page may answer instead of the storage",
}


class Answer(NamedTuple):
    """What came instead of what was asked for.

    Attributes:
        status: The HTTP status, `None` where there was no answer.
        body: Its text, as much as is known.
    """

    status: int | None
    body: str = ""

    @property
    def code(self) -> str | None:
        """The cloud's code for what went wrong."""
        found = _CODE.search(self.body)
        return None if found is None else found[1] or found[2]

    @property
    def request_id(self) -> str | None:
        """What the server calls the request."""
        found = _REQUEST_ID.search(self.body)
        return None if found is None else found[1] or found[2]


def is_absent(answer: Answer, *, coded: bool) -> bool:
    """Whether an answer says that the key, and nothing but the key, does not exist.

    Args:
        answer: The answer.
        coded: Whether the server says with a code what is missing, as the clouds do. A 404
            without one is then a proxy's, or a container's.
    """
    if answer.status not in (404, 410):
        return False
    return answer.code in _NO_KEY if coded else answer.code not in _NO_CONTAINER


def failure(
    answer: Answer, what: str, *, store: str, key: str | None, reason: str = ""
) -> StoreError:
    """The error that an answer stands for.

    Args:
        answer: The answer.
        what: What was to be done, such as `"the object cannot be read"`.
        store: The store's name.
        key: Of the object.
        reason: What is known where there was no answer.
    """
    code = answer.code
    kind = _kind(answer.status, code)
    message = _MESSAGE.search(answer.body)
    said = " ".join(
        part
        for part in (
            "" if answer.status is None else f"status {answer.status}",
            code or "",
            "" if message is None else redact(message[1].split("\n")[0].strip()),
            redact(reason),
        )
        if part
    )
    error = kind(f"{what}: {said}" if said else what, store=store, key=key, hint=_HINTS.get(kind))
    error.status, error.request_id = answer.status, answer.request_id
    if isinstance(error, StoreCredentialsError):
        error.expired = code in _EXPIRED
    return error


def _kind(status: int | None, code: str | None) -> type[StoreError]:
    if code in _NO_CONTAINER:
        return StoreNotFoundError
    if code in _EXPIRED or code in _UNKNOWN_WHO or status == 401:  # noqa: PLR2004
        return StoreCredentialsError
    if code in _THROTTLED or status in (429, 503):
        return StoreThrottledError
    if code in _TRANSIENT or status in (408, 425) or (status is not None and status >= 500):  # noqa: PLR2004
        return StoreTransientError
    match status:
        case None:
            return StoreTransientError
        case 403:
            return StorePermissionError
        case 404 | 410:
            return CorruptObjectError
        case 409 | 412:
            return StoreConflictError
        case 416:
            return StoreRangeError
        case _:
            return StoreError
