"""Faults, and what is to become of who meets them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from emulation.faultproxy import Rule

if TYPE_CHECKING:
    from zlab.errors import StoreError


@dataclass(frozen=True)
class Case:
    """A fault, and what is to become of a read under it.

    Attributes:
        name: What happens.
        rule: What is done.
        requests: That reach the proxy; `None` where the client hides some.
        error: What is raised; `None` where the right bytes come.
    """

    name: str
    rule: Rule
    requests: int | None
    error: type[StoreError] | None = None


def coded(code: str) -> bytes:
    """The body of a cloud's answer that says what went wrong."""
    return f"<Error><Code>{code}</Code></Error>".encode()


def status(code: int, times: int | None = None, body: bytes = b"", **headers: str) -> Rule:
    """The proxy answers by itself."""
    return Rule("status", times=times, status=code, headers=headers, body=body)
