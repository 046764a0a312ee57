"""Runs a page of the guide, whose buckets are emulators': `python redirect.py PAGE PLACES`.

What the page says of credentials has to be understood, and is then replaced by the emulator's.
"""

from __future__ import annotations

import json
import runpy
import sys
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

from zlab.stores.cloud import Cloud, CloudOptions

if TYPE_CHECKING:
    from collections.abc import Mapping

page, places = sys.argv[1], json.loads(sys.argv[2])
_parse = Cloud.parse
_ACCESS = ("endpoint", "access_key_id", "secret_access_key", "region", "token")
_ACCOUNT = ("account_name", "account_key", "sas_token", "service_account")


def _redirected(url: str, options: Mapping[str, Any]) -> Cloud:
    cloud = _parse(url, options)
    place = places[cloud.scheme]
    if cloud.scheme == "http":
        return replace(cloud, bucket=place["url"], root=f"{place['bucket']}/{cloud.root}")
    access = CloudOptions.parse(place["options"])
    given = cloud.options
    provider = given.credential_provider if cloud.scheme == "s3" else None
    names = {one.name for one in fields(CloudOptions)} & {*_ACCESS, *_ACCOUNT}
    found: dict[str, Any] = {name: getattr(access, name) for name in names}
    if provider is not None:  # it is asked: its keys are as good as others
        found |= {"access_key_id": None, "secret_access_key": None}
    found |= {"anonymous": False, "credential_provider": provider}
    return replace(cloud, options=replace(given, **found))


Cloud.parse = _redirected  # type: ignore[method-assign]
runpy.run_path(page, run_name="__main__")
