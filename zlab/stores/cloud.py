"""Where a cloud's objects are and how they are reached: one form of options for all clouds."""

from __future__ import annotations

import json
import os
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self, TypeAlias, final
from urllib.parse import unquote, urlsplit

from zlab.errors import StoreError
from zlab.stores.base import redact
from zlab.stores.credentials import InUtc
from zlab.stores.hedged import check_after
from zlab.stores.limits import Limits
from zlab.stores.retry import RetryPolicy

if TYPE_CHECKING:
    from collections.abc import Callable

    from zlab.stores.hedged import HedgeAfter

Scheme: TypeAlias = Literal["s3", "gs", "az", "http"]

_SCHEMES: dict[str, Scheme] = {
    "s3": "s3",
    "s3a": "s3",
    "gs": "gs",
    "gcs": "gs",
    "az": "az",
    "azure": "az",
    "abfs": "az",
    "abfss": "az",
    "http": "http",
    "https": "http",
}
_SLOWEST = 0.5e6  # bytes in a second that an answer must come with
_UP = 2


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Timeouts:
    """How long is waited for a server.

    Attributes:
        connect_s: For a connection.
        idle_s: For the next byte of an answer.
        total_s: For an answer as a whole; large ones get a second more for each 0.5 MB.
    """

    connect_s: float = 5.0
    idle_s: float = 10.0
    total_s: float = 30.0

    def __post_init__(self) -> None:
        for name in ("connect_s", "idle_s", "total_s"):
            value = getattr(self, name)
            if not value > 0:
                msg = f"{name} must be a number of seconds above 0, not {value!r}"
                raise ValueError(msg)

    def step(self, nbytes: int) -> int:
        """How often the total is doubled for so many bytes, since each total is a client."""
        return max(0, int(nbytes / _SLOWEST / self.total_s)).bit_length()

    def of(self, step: int) -> dict[str, timedelta]:
        """As obstore names them."""
        return {
            "connect_timeout": timedelta(seconds=self.connect_s),
            "read_timeout": timedelta(seconds=self.idle_s),
            "timeout": timedelta(seconds=self.total_s * _UP**step),
        }


@final
@dataclass(frozen=True, kw_only=True)
class CloudOptions:
    """What a user may say of a cloud, in `storage_options`; each cloud takes what concerns it.

    What is not given comes from where the cloud's own tools look: the environment, and the
    metadata service of a machine in the cloud.

    Attributes:
        endpoint: URL of a server of another make, such as MinIO, R2, Ceph or an emulator.
        region: Of the bucket (S3).
        access_key_id: Key of the account (S3), with `secret_access_key` and `session_token`.
        secret_access_key: See there.
        session_token: See there.
        account_name: Of the storage account (Azure), with `account_key` or `sas_token`.
        account_key: See there.
        sas_token: See there.
        service_account: The file of a service account, or what is in it (Google).
        token: A bearer token (Azure, Google), or of `session_token` (S3).
        credential_provider: Called for credentials whenever the old ones expire; obstore's
            `obstore.auth` has some, for profiles, single sign-on, roles, and the clouds' own
            libraries.
        anonymous: Send no credentials, as for public data.
        virtual_hosted: The bucket is a part of the host's name (S3).
        conditional: Whether the server replaces an object only where it is the version that was
            read. All of the clouds do; some servers of other makes do not.
        headers: Sent with every request.
        root_certificate: PEM text of an authority to trust.
        proxy: URL of a proxy that all requests go through, instead of those that the environment
            names.
        timeouts: How long is waited.
        retry: What is tried again; `"off"` for nothing.
        limits: Bounds of what is asked for at once.
        hedge_s: Seconds after which a read is asked for once more, or such as `"p95"`.
        other: Options of obstore's, by its names.
    """

    endpoint: str | None = None
    region: str | None = None
    access_key_id: str | None = field(default=None, repr=False)
    secret_access_key: str | None = field(default=None, repr=False)
    session_token: str | None = field(default=None, repr=False)
    account_name: str | None = None
    account_key: str | None = field(default=None, repr=False)
    sas_token: str | None = field(default=None, repr=False)
    service_account: str | None = field(default=None, repr=False)
    token: str | None = field(default=None, repr=False)
    credential_provider: Callable[[], Any] | None = field(default=None, repr=False)
    anonymous: bool = False
    virtual_hosted: bool | None = None
    conditional: bool = True
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    root_certificate: str | None = field(default=None, repr=False)
    proxy: str | None = field(default=None, repr=False)
    timeouts: Timeouts = field(default_factory=Timeouts)
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    limits: Limits | None = None
    hedge_s: HedgeAfter | None = None
    other: tuple[tuple[str, Any], ...] = field(default=(), repr=False)

    def __post_init__(self) -> None:
        if self.hedge_s is not None:
            check_after(self.hedge_s)

    @classmethod
    def parse(cls, options: Mapping[str, Any]) -> Self:
        """What a user wrote.

        s3fs's and adlfs's names are understood too: `key`, `secret`, `anon`, `endpoint_url`,
        `client_kwargs={"endpoint_url": ..., "region_name": ...}`.

        Raises:
            TypeError: An option is unknown, or not what its name says.
            ValueError: A number is out of range.
        """
        given = dict(options)
        nested = given.pop("client_kwargs", None) or {}
        for alias, name in _ALIASES.items():
            for source in (given, nested):
                if alias in source:
                    given.setdefault(name, source.pop(alias))
        if nested:
            msg = f"storage_options: client_kwargs[{next(iter(nested))!r}] is not understood"
            raise TypeError(f"{msg}; pass engine='fsspec' to hand it to fsspec")
        limits = {name: given.pop(name) for name in _LIMITS if name in given}
        timeouts = {name: given.pop(name) for name in _TIMEOUTS if name in given}
        known = {one.name for one in fields(cls)}
        unknown = sorted(set(given) - known)
        if unknown:
            names = ", ".join(sorted((known - {"limits", "timeouts"}) | {*_LIMITS, *_TIMEOUTS}))
            msg = f"storage_options has no {unknown[0]!r}; there are {names}, and engine='fsspec' "
            raise TypeError(f"{msg}for fsspec's own")
        given["retry"] = RetryPolicy.parse(given.get("retry"))
        if timeouts:
            given["timeouts"] = Timeouts(**timeouts)
        if limits:
            given["limits"] = Limits(**limits)
        for name in ("headers", "other"):
            if isinstance(given.get(name), Mapping):
                given[name] = tuple(sorted(given[name].items()))
        account = given.get("service_account")
        if isinstance(account, Mapping):
            given["service_account"] = json.dumps(dict(account))
        elif isinstance(account, os.PathLike):
            given["service_account"] = os.fspath(account)
        return cls(**given)


_ALIASES = {
    "key": "access_key_id",
    "secret": "secret_access_key",
    "anon": "anonymous",
    "endpoint_url": "endpoint",
    "region_name": "region",
    "aws_access_key_id": "access_key_id",
    "aws_secret_access_key": "secret_access_key",
    "aws_session_token": "session_token",
}
_LIMITS = {one.name for one in fields(Limits)}
_TIMEOUTS = {one.name for one in fields(Timeouts)}


@final
@dataclass(frozen=True)
class Cloud:
    """A root in a bucket, or below a URL.

    Attributes:
        scheme: Whose protocol the server speaks.
        bucket: Bucket or container; of an HTTP server its origin.
        root: Prefix of all keys, `""` for none.
        options: How it is reached.
    """

    scheme: Scheme
    bucket: str
    root: str
    options: CloudOptions = field(default_factory=CloudOptions)

    @classmethod
    def parse(cls, url: str, options: Mapping[str, Any]) -> Self:
        """What a URL names.

        Raises:
            StoreError: It has no bucket or host, or is that of one object.
            TypeError: An option is unknown.
        """
        scheme = _SCHEMES[url.partition("://")[0].lower()]
        parts = urlsplit(url)
        parsed = CloudOptions.parse(options)
        if scheme == "http":
            user, at, host = parts.netloc.rpartition("@")
            if not host:
                raise StoreError("the URL names no host", store=redact(url))
            if parts.query:
                raise StoreError(
                    "the URL has a query, which cannot be that of every object of a store",
                    store=redact(url),
                    hint="Pass headers in storage_options, or of Azure az:// with sas_token",
                )
            if at:
                word = b64encode(unquote(user).encode()).decode()
                headers = {"Authorization": f"Basic {word}", **dict(parsed.headers)}
                parsed = replace(parsed, headers=tuple(sorted(headers.items())))
            return cls(scheme, f"{parts.scheme}://{host}", unquote(parts.path).strip("/"), parsed)
        # neither "?" nor "#" ends the name of an object
        bucket, _, root = url.partition("://")[2].partition("/")
        account, at, host = bucket.partition("@")
        if at and scheme == "az":
            bucket = account
            if parsed.account_name is None:
                parsed = replace(parsed, account_name=host.partition(".")[0])
        if not bucket:
            raise StoreError("the URL names no bucket", store=url, hint=f"{scheme}://bucket/path")
        return cls(scheme, bucket, root.strip("/"), parsed)

    @property
    def name(self) -> str:
        """The URL, without secrets."""
        origin = self.bucket if self.scheme == "http" else f"{self.scheme}://{self.bucket}"
        return f"{origin}/{self.root}".rstrip("/")

    @property
    def place(self) -> str:
        """What is limited together: a host and a bucket."""
        if self.scheme == "http":
            return self.bucket
        at = self.options.endpoint or self.options.account_name or ""
        return f"{self.scheme}://{self.bucket}@{at}"

    @property
    def timeouts(self) -> Timeouts:
        """How long is waited."""
        return self.options.timeouts

    @property
    def has_suffix(self) -> bool:
        """Whether the server knows ranges from the end."""
        return self.scheme != "az"

    @property
    def lists(self) -> bool:
        """Whether the server can list."""
        return self.scheme != "http"

    def path(self, key: str) -> str:
        """The object's path in the bucket."""
        return f"{self.root}/{key}".strip("/") if self.root else key

    def key(self, path: str) -> str:
        """The key of an object's path; `""` for the root, and for what lies elsewhere."""
        if not self.root:
            return path
        below = f"{self.root}/"
        return path[len(below) :] if path.startswith(below) else ""

    def config(self) -> dict[str, Any]:
        """What obstore's class for the scheme takes, besides timeouts and retries."""
        options = self.options
        config: dict[str, Any] = {}
        if options.anonymous:
            config["skip_signature"] = True
        if options.credential_provider is not None:
            config["credential_provider"] = InUtc(options.credential_provider)
        match self.scheme:
            case "s3":
                config |= {
                    "endpoint": options.endpoint,
                    "region": options.region or _region(options.endpoint),
                    "access_key_id": options.access_key_id,
                    "secret_access_key": options.secret_access_key,
                    "session_token": options.session_token or options.token,
                    "virtual_hosted_style_request": options.virtual_hosted,
                }
            case "gs":
                account = options.service_account
                is_text = account is not None and account.lstrip().startswith("{")
                config |= {
                    "base_url": options.endpoint,
                    "service_account_key": account if is_text else None,
                    "service_account": None if account is None or is_text else str(Path(account)),
                    "bearer_token": options.token,
                }
            case "az":
                config |= {
                    "endpoint": options.endpoint,
                    "account_name": options.account_name,
                    "account_key": options.account_key,
                    "sas_key": options.sas_token,
                    "token": options.token,
                }
            case "http":
                pass
        found = {name: value for name, value in config.items() if value is not None}
        return found | dict(options.other)

    def client_options(self, step: int) -> dict[str, Any]:
        """What obstore's client takes: timeouts, headers, certificates."""
        options = self.options
        found: dict[str, Any] = {**self.timeouts.of(step)}
        at = self.bucket if self.scheme == "http" else options.endpoint or ""
        if at.startswith("http://"):
            found["allow_http"] = True
        if options.headers:
            found["default_headers"] = dict(options.headers)
        if options.root_certificate is not None:
            found["root_certificate"] = options.root_certificate
        if options.proxy is not None:
            found["proxy_url"] = options.proxy
        return found


def is_cloud(url: str) -> bool:
    """Whether a URL is one of these; chains such as `zip::s3://...` are fsspec's."""
    scheme, mark, _ = url.partition("://")
    return bool(mark) and scheme.lower() in _SCHEMES


def _region(endpoint: str | None) -> str | None:
    """Servers of other makes have one region, whatever it is called."""
    known = "AWS_REGION" in os.environ or "AWS_DEFAULT_REGION" in os.environ
    return "us-east-1" if endpoint is not None and not known else None
