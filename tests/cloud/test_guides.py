"""The pages of the guide on clouds run, from top to bottom, against emulators."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from emulation.buckets import access

import zlab

if TYPE_CHECKING:
    from collections.abc import Callable

    from emulation.buckets import Bucket

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
NEEDS = {"s3": "moto", "gs": "moto", "az": "azurite", "http": "nginx"}
PAGES = {
    "cloud": "s3",
    "cloud-cache": "s3",
    "cloud-s3": "s3",
    "cloud-gcs": "gs",
    "cloud-azure": "az",
    "cloud-http": "http",
    "failures": "s3",
}
NAME = "my-bucket"


@pytest.mark.parametrize(
    "page",
    [
        pytest.param(page, marks=pytest.mark.needs("cloud", NEEDS[scheme]))
        for page, scheme in PAGES.items()
    ],
)
def test_the_code_of_a_page_runs(
    page: str, bucket_of: Callable[[str], Bucket], tmp_path: Path
) -> None:
    scheme = PAGES[page]
    bucket = bucket_of(scheme)
    if bucket.folder is not None:
        fill(bucket.folder / bucket.name)
    text = (ROOT / "docs" / "guide" / f"{page}.md").read_text(encoding="utf-8")
    blocks = BLOCK.findall(text)
    assert blocks
    program = tmp_path / f"{page}.py"
    program.write_text("\n".join(blocks).replace(NAME, bucket.name), encoding="utf-8")
    place: dict[str, Any] = {
        "bucket": bucket.name,
        "url": bucket.proxy.url,
        "options": access(scheme, bucket.proxy.url),
    }
    done = subprocess.run(
        [
            *(sys.executable, "-W", "error", str(Path(__file__).with_name("redirect.py"))),
            *(str(program), json.dumps({scheme: place})),
        ],
        cwd=tmp_path,
        env=os.environ | environment(tmp_path, bucket.proxy.url),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr


def fill(folder: Path) -> None:
    """The stores that the page on web servers reads."""
    zlab.create_array(folder / "climate.zarr", data=np.arange(10), chunks=5)
    group = zlab.create_group(folder / "group.zarr")
    for name in ("pressure", "temperature"):
        group.create_array(name, shape=(4,), dtype="f4")
    group.consolidate()


def environment(folder: Path, url: str) -> dict[str, str]:
    """What the clouds' own libraries find on the machine of a user."""
    keys = "aws_access_key_id = test\naws_secret_access_key = test\nregion = us-east-1\n"
    (folder / "aws").write_text(f"[profile research]\n{keys}")
    (folder / "adc.json").write_text(
        json.dumps(
            {
                "type": "authorized_user",
                "client_id": "test",
                "client_secret": "test",
                "refresh_token": "test",
                "quota_project_id": "test",
            }
        )
    )
    (folder / "robot.json").write_text("{}")
    return {
        "AWS_CONFIG_FILE": str(folder / "aws"),
        "AWS_SHARED_CREDENTIALS_FILE": str(folder / "none"),
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": url,
        "GOOGLE_APPLICATION_CREDENTIALS": str(folder / "adc.json"),
        "ACCESS_TOKEN": "test",
        "AZURE_STORAGE_ACCOUNT_KEY": "test",
    }
