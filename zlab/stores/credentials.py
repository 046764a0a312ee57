"""Whoever is asked for credentials, so that obstore understands the answer."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, final

if TYPE_CHECKING:
    from collections.abc import Callable


@final
class InUtc:
    """A credential provider whose times are in the one class of UTC that obstore takes.

    boto3's answers have another class of it, and so have those of `StsCredentialProvider`.

    Args:
        provider: Returns credentials, with the time at which they expire.

    Example:
        >>> from datetime import timedelta, timezone
        >>> noon = datetime(2025, 1, 1, 12, tzinfo=timezone(timedelta(hours=2)))
        >>> InUtc(lambda: {"token": "t", "expires_at": noon})()["expires_at"].isoformat()
        '2025-01-01T10:00:00+00:00'
    """

    def __init__(self, provider: Callable[[], Any]) -> None:
        self._provider = provider

    def __call__(self) -> Any:
        """The credentials."""
        found = self._provider()
        expires_at = found.get("expires_at") if isinstance(found, Mapping) else None
        if not isinstance(expires_at, datetime):
            return found
        return {**found, "expires_at": expires_at.astimezone(UTC)}

    def __getattr__(self, name: str) -> Any:
        # obstore takes a bucket's region of a provider, where it knows one
        return getattr(self._provider, name)
