from __future__ import annotations

import pytest

from zlab.errors import (
    CorruptObjectError,
    StoreConflictError,
    StoreCredentialsError,
    StoreError,
    StoreNotFoundError,
    StorePermissionError,
    StoreRangeError,
    StoreThrottledError,
    StoreTransientError,
)
from zlab.stores.answers import Answer, failure, is_absent


def coded(code: str) -> str:
    return (
        f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>At https://u:p@h/b/k?sig=SECRET"
        "</Message><RequestId>R1</RequestId></Error>"
    )


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (404, coded("NoSuchBucket"), StoreNotFoundError),
        (404, coded("ContainerNotFound"), StoreNotFoundError),
        (404, "<html>not here</html>", CorruptObjectError),
        (401, "", StoreCredentialsError),
        (403, coded("AccessDenied"), StorePermissionError),
        (403, coded("InvalidAccessKeyId"), StoreCredentialsError),
        (403, coded("SignatureDoesNotMatch"), StoreCredentialsError),
        (403, "", StorePermissionError),
        (400, coded("ExpiredToken"), StoreCredentialsError),
        (400, coded("RequestTimeout"), StoreTransientError),
        (400, coded("InvalidArgument"), StoreError),
        (408, "", StoreTransientError),
        (409, coded("BlobAlreadyExists"), StoreConflictError),
        (409, coded("OperationAborted"), StoreTransientError),
        (412, coded("PreconditionFailed"), StoreConflictError),
        (416, coded("InvalidRange"), StoreRangeError),
        (429, "", StoreThrottledError),
        (500, coded("InternalError"), StoreTransientError),
        (502, "<html>bad gateway</html>", StoreTransientError),
        (503, coded("SlowDown"), StoreThrottledError),
        (503, "", StoreThrottledError),
        (None, "", StoreTransientError),
        (302, "", StoreError),
    ],
)
def test_what_an_answer_means(status: int | None, body: str, kind: type[StoreError]) -> None:
    answer = Answer(status, body)
    error = failure(answer, "it cannot be read", store="s3://bucket", key="c/0", reason="?sig=X")
    assert type(error) is kind
    assert error.status == status
    assert error.request_id == ("R1" if "RequestId" in body else None)
    assert "SECRET" not in str(error)
    assert "u:p" not in str(error)
    assert "sig=" not in str(error)
    assert not is_absent(answer, coded=True)


def test_only_a_key_that_is_named_as_missing_is_absent() -> None:
    for code in ("NoSuchKey", "BlobNotFound"):
        assert is_absent(Answer(404, coded(code)), coded=True)
    # a web server has no codes, and answers with whatever page it likes
    assert is_absent(Answer(404, "<html>not here</html>"), coded=False)
    assert is_absent(Answer(410), coded=False)
    assert not is_absent(Answer(404, coded("NoSuchBucket")), coded=False)
    assert not is_absent(Answer(403), coded=False)
    assert not is_absent(Answer(None), coded=False)


def test_expired_credentials_are_told_from_wrong_ones() -> None:
    expired = failure(Answer(400, coded("ExpiredToken")), "x", store="s", key=None)
    wrong = failure(Answer(403, coded("InvalidAccessKeyId")), "x", store="s", key=None)
    assert isinstance(expired, StoreCredentialsError)
    assert isinstance(wrong, StoreCredentialsError)
    assert (expired.expired, wrong.expired) == (True, False)
