from __future__ import annotations

import pytest

from zlab.lab.addresses import Addresses

PUBLIC = ["9.9.9.9", "2620:fe::fe", "::ffff:9.9.9.9", "64:ff9b::909:909", "2002:909:909::"]
NOT_PUBLIC = [
    "0.0.0.0",  # noqa: S104  nothing is bound
    "10.0.0.1",
    "100.64.0.1",
    "100.100.100.200",
    "127.0.0.1",
    "127.255.255.254",
    "168.63.129.16",
    "169.254.169.254",
    "172.16.0.1",
    "192.0.2.1",
    "192.168.1.1",
    "198.18.0.1",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::127.0.0.1",
    "::ffff:127.0.0.1",
    "::ffff:a9fe:a9fe",
    "64:ff9b::7f00:1",
    "64:ff9b::a9fe:a9fe",
    "2002:7f00:1::",
    "2001:0:7f00:1::",
    "fc00::1",
    "fd00:ec2::254",
    "fe80::1",
    "fe80::1%eth0",
    "fec0::1",
    "ff02::1",
    "",
    "localhost",
    "127.1",
    "0x7f000001",
    "2130706433",
]


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_are_open(address: str) -> None:
    assert Addresses().allows(address)


@pytest.mark.parametrize("address", NOT_PUBLIC)
def test_other_addresses_are_not(address: str) -> None:
    assert not Addresses().allows(address)


def test_named_addresses_and_ranges() -> None:
    named = Addresses.parse(["127.0.0.1", "10.0.0.0/8", "[::1]", "fd00::/8"])
    for address in ("127.0.0.1", "::ffff:127.0.0.1", "10.255.0.1", "::1", "fd00::1"):
        assert named.allows(address)
    for address in ("127.0.0.2", "11.0.0.0.1", "192.168.0.1", "fe80::1", "64:ff9b::c0a8:1"):
        assert not named.allows(address)


def test_one_closed_address_closes_a_host() -> None:
    addresses = Addresses.parse(["Minio.LAN"])
    assert addresses.refused("data.example", ["9.9.9.9", "2620:fe::fe"]) is None
    assert addresses.refused("data.example", ["9.9.9.9", "10.0.0.1"]) == "10.0.0.1"
    assert addresses.refused("minio.lan.", ["10.0.0.1"]) is None
    assert addresses.refused("minio.lan.example", ["10.0.0.1"]) == "10.0.0.1"


@pytest.mark.parametrize(
    "entry", ["", "*", "http://127.0.0.1", "127.0.0.1:9000", "10.0.0.1/8", "10.0.0", "a b", "u@h"]
)
def test_entries_that_name_nothing(entry: str) -> None:
    with pytest.raises(ValueError, match="allowed_private"):
        Addresses.parse([entry])
