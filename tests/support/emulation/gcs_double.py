"""Google Cloud Storage by an emulator of S3: its XML API is S3's, but for the preconditions.

Generations are made of ETags: both name one version of an object, and nothing else.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote

from emulation.faultproxy import FaultProxy

if TYPE_CHECKING:
    from emulation.faultproxy import _Message

AUTHORIZATION = (
    "AWS4-HMAC-SHA256 Credential=test/20250101/us-east-1/s3/aws4_request, "
    "SignedHeaders=host, Signature=0"
)


class GcsDouble(FaultProxy):
    """A proxy before an emulator of S3 that speaks as Google's XML API does.

    Args:
        port: The emulator's.
        **options: Of the proxy.
    """

    def __init__(self, port: int, **options: Any) -> None:
        super().__init__(port, request=self._to_s3, answer=self._to_gcs, **options)
        self._etags: dict[str, str] = {}

    def _to_s3(self, message: _Message) -> _Message:
        headers = {k: v for k, v in message.headers.items() if not k.startswith("x-goog-")}
        headers["authorization"] = AUTHORIZATION
        generation = message.headers.get("x-goog-if-generation-match")
        if generation == "0":
            headers["if-none-match"] = "*"
        elif generation is not None:
            headers["if-match"] = self._etags.get(generation, '"no such generation"')
        method, target, version = message.first.split()
        path, mark, query = target.partition("?")
        # slashes and hyphens come encoded, which the emulator does not understand
        first = f"{method} {quote(unquote(path))}{mark}{query} {version}"
        return message._replace(first=first, headers=headers)

    def _to_gcs(self, answer: _Message) -> _Message:
        etag = answer.headers.get("etag")
        if etag is None:
            return answer
        generation = str(zlib.crc32(etag.encode()) + 1)
        self._etags[generation] = etag
        return answer._replace(headers={**answer.headers, "x-goog-generation": generation})
