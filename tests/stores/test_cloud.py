"""What a user may say of a cloud, and what becomes of it; no server is asked."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from zlab.errors import StoreError
from zlab.stores.cloud import Cloud, CloudOptions, Timeouts, is_cloud
from zlab.stores.limits import Limits
from zlab.stores.retry import RetryPolicy


@pytest.mark.parametrize(
    ("url", "scheme", "bucket", "root"),
    [
        ("s3://bucket/a/b.zarr/", "s3", "bucket", "a/b.zarr"),
        ("s3a://bucket", "s3", "bucket", ""),
        ("gs://bucket/a?b#c", "gs", "bucket", "a?b#c"),
        ("gcs://bucket/a b%20c", "gs", "bucket", "a b%20c"),
        ("az://container/a", "az", "container", "a"),
        ("abfs://container@account.dfs.core.windows.net/a", "az", "container", "a"),
        ("https://host:8080/a%20b/c", "http", "https://host:8080", "a b/c"),
    ],
)
def test_urls(url: str, scheme: str, bucket: str, root: str) -> None:
    cloud = Cloud.parse(url, {})
    assert is_cloud(url)
    assert (cloud.scheme, cloud.bucket, cloud.root) == (scheme, bucket, root)
    assert cloud.key(cloud.path("c/0")) == "c/0"
    assert cloud.path("") == root
    assert not is_cloud(f"zip::{url}")


def test_what_lies_elsewhere_has_no_key() -> None:
    cloud = Cloud.parse("s3://bucket/a", {})
    assert [cloud.key(path) for path in ("a/b", "ab/c", "a", "b")] == ["b", "", "", ""]


def test_an_account_in_the_url() -> None:
    url = "abfs://container@account.dfs.core.windows.net/a"
    assert Cloud.parse(url, {}).options.account_name == "account"
    assert Cloud.parse(url, {"account_name": "other"}).options.account_name == "other"


def test_a_name_and_a_password_are_sent_and_never_shown() -> None:
    cloud = Cloud.parse("https://me:h%40nter@host/a", {})
    assert dict(cloud.options.headers) == {"Authorization": "Basic bWU6aEBudGVy"}
    assert cloud.bucket == "https://host"
    assert "bWU6" not in repr(cloud)
    mine = Cloud.parse("https://me:x@host/a", {"headers": {"Authorization": "Bearer t"}})
    assert dict(mine.options.headers) == {"Authorization": "Bearer t"}


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("s3:///a", "no bucket"),
        ("https:///a", "no host"),
        ("https://host/a.zarr?X-Amz-Signature=abcdef", "has a query"),
    ],
)
def test_urls_that_name_no_store_are_refused(url: str, said: str) -> None:
    with pytest.raises(StoreError, match=said) as caught:
        Cloud.parse(url, {})
    assert "abcdef" not in str(caught.value)


def test_one_form_of_options() -> None:
    options = CloudOptions.parse(
        {
            "key": "k",
            "secret": "s",
            "anon": True,
            "client_kwargs": {"endpoint_url": "http://there", "region_name": "here"},
            "requests": 5,
            "idle_s": 2.0,
            "retry": {"attempts": 2},
            "service_account": {"type": "service_account"},
        }
    )
    assert (options.access_key_id, options.secret_access_key) == ("k", "s")
    assert (options.endpoint, options.region, options.anonymous) == ("http://there", "here", True)
    assert options.limits == Limits(requests=5)
    assert options.timeouts == Timeouts(idle_s=2.0)
    assert options.retry == RetryPolicy(attempts=2)
    assert options.service_account == '{"type": "service_account"}'
    by_path = CloudOptions.parse({"service_account": Path("robot.json")})
    assert by_path.service_account == "robot.json"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"colour": 1}, "has no 'colour'; there are access_key_id"),
        ({"client_kwargs": {"verify": False}}, "client_kwargs\\['verify'\\] is not understood"),
        ({"idle_s": 0}, "idle_s must be a number of seconds above 0"),
        ({"requests": 0}, "requests must be more than 0"),
        ({"retry": 3}, "retry must be 'off'"),
    ],
)
def test_options_that_are_none_are_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises((TypeError, ValueError), match=said):
        CloudOptions.parse(options)


SECRETS = {
    "access_key_id": "SECRET1",
    "secret_access_key": "SECRET2",
    "session_token": "SECRET3",
    "account_key": "SECRET4",
    "sas_token": "SECRET5",
    "service_account": "SECRET6",
    "token": "SECRET7",
    "headers": {"Authorization": "SECRET8"},
    "other": {"password": "SECRET9"},
}


def test_secrets_are_in_no_repr() -> None:
    assert "SECRET" not in repr(Cloud.parse("s3://bucket/a", SECRETS))
    assert "SECRET" not in Cloud.parse("s3://bucket/a", SECRETS).name


def test_each_cloud_takes_what_concerns_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    s3 = Cloud.parse("s3://b", {"endpoint": "http://there", "key": "k", "secret": "s"})
    assert s3.config() == {
        "endpoint": "http://there",
        "region": "us-east-1",  # servers of other makes have one
        "access_key_id": "k",
        "secret_access_key": "s",
    }
    assert s3.client_options(0)["allow_http"] is True
    assert Cloud.parse("s3://b", {"anonymous": True}).config() == {"skip_signature": True}
    assert Cloud.parse("gs://b", {"token": "t"}).config() == {"bearer_token": "t"}
    file = Cloud.parse("gs://b", {"service_account": Path("robot.json")})
    assert file.config() == {"service_account": "robot.json"}
    text = Cloud.parse("gs://b", {"service_account": {"type": "x"}})
    assert text.config() == {"service_account_key": '{"type": "x"}'}
    sas = Cloud.parse("az://b", {"account_name": "a", "sas_token": "s", "other": {"x": 1}})
    assert sas.config() == {"account_name": "a", "sas_key": "s", "x": 1}
    assert Cloud.parse("https://host/a", {}).config() == {}


def test_a_provider_tells_the_time_as_obstore_has_it() -> None:
    class Provider:
        config = {"region": "here"}  # noqa: RUF012  as boto3's

        def __call__(self) -> dict[str, Any]:
            ahead = timezone(timedelta(hours=1))
            return {"access_key_id": "k", "expires_at": datetime(2025, 1, 1, 1, tzinfo=ahead)}

    cloud = Cloud.parse("s3://b", {"credential_provider": Provider()})
    provider = cloud.config()["credential_provider"]
    assert provider.config == {"region": "here"}
    assert provider() == {"access_key_id": "k", "expires_at": datetime(2025, 1, 1, tzinfo=UTC)}
    assert provider()["expires_at"].tzinfo is UTC


def test_large_objects_have_more_time() -> None:
    timeouts = Timeouts(total_s=10.0)
    assert [timeouts.step(n) for n in (0, 4_000_000, 5_000_000, 20_000_000)] == [0, 0, 1, 3]
    assert timeouts.of(3)["timeout"] == timedelta(seconds=80)


def test_what_is_limited_together() -> None:
    places = {
        url: Cloud.parse(url, options).place
        for url, options in {
            "s3://b/a": {},
            "s3://b/c": {"endpoint": "http://there"},
            "az://b/c": {"account_name": "me"},
            "https://host/a": {},
            "https://host/b": {},
        }.items()
    }
    assert places == {
        "s3://b/a": "s3://b@",
        "s3://b/c": "s3://b@http://there",
        "az://b/c": "az://b@me",
        "https://host/a": "https://host",
        "https://host/b": "https://host",
    }
