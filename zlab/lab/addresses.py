"""Which addresses a server may connect to on a user's word. Pure: names are resolved elsewhere.

A user of the server chooses URLs, and the server stands where the user may not: beside the
metadata service of its cloud, in a private network, on its own loopback. So only addresses that
everybody can reach are open, and those that the server's owner names.

Source: OWASP, "Server-Side Request Forgery Prevention"; IANA's registries of special-purpose
addresses, as `ipaddress` has them; RFC 6052 for addresses of IPv4 inside IPv6.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network
from typing import TYPE_CHECKING, Self, TypeAlias, final

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from ipaddress import IPv4Network

Address: TypeAlias = IPv4Address | IPv6Address

_NAT64 = IPv6Network("64:ff9b::/96")
_COMPATIBLE = IPv6Network("::/96")
_IPV4 = 0xFFFF_FFFF
# Azure's wire server, which tells a machine about itself, stands among public addresses
_PLATFORM = IPv4Address("168.63.129.16")


@final
@dataclass(frozen=True)
class Addresses:
    """The addresses and host names that may be connected to besides public addresses.

    Attributes:
        networks: Ranges of addresses.
        hosts: Names that may resolve to any address.
    """

    networks: tuple[IPv4Network | IPv6Network, ...] = ()
    hosts: frozenset[str] = frozenset()

    @classmethod
    def parse(cls, entries: Iterable[str]) -> Self:
        """What an owner writes: addresses, ranges such as `"10.0.0.0/8"`, names of hosts.

        Raises:
            ValueError: An entry is none of these, such as a URL.

        Example:
            >>> Addresses.parse(["10.0.0.0/8", "minio.lan"]).allows("10.1.2.3")
            True
        """
        networks = []
        hosts = set()
        for entry in entries:
            try:
                networks.append(ip_network(entry.strip("[]")))
            except ValueError as error:
                if not entry or any(part in entry for part in "/:@[]* ") or entry[-1].isdigit():
                    msg = (
                        f"allowed_private takes addresses, ranges ('10.0.0.0/8') and names of "
                        f"hosts, not {entry!r}"
                    )
                    raise ValueError(msg) from error
                hosts.add(normal_host(entry))
        return cls(tuple(networks), frozenset(hosts))

    def allows(self, address: str) -> bool:
        """Whether an address is public, or named.

        Example:
            >>> [Addresses().allows(one) for one in ("9.9.9.9", "127.0.0.1", "::ffff:10.0.0.1")]
            [True, False, False]
        """
        try:
            found = ip_address(address.partition("%")[0])
        except ValueError:
            return False
        # an address inside another is where the packets come out, so both have to be open
        return all(_is_public(one) or self._names(one) for one in _unwrap(found))

    def refused(self, host: str, addresses: Sequence[str]) -> str | None:
        """The first address of a host that may not be connected to, or `None`.

        One is enough to refuse the host: else a name could be tried until the other one comes.
        """
        if normal_host(host) in self.hosts:
            return None
        return next((one for one in addresses if not self.allows(one)), None)

    def _names(self, address: Address) -> bool:
        return any(address in network for network in self.networks)


def normal_host(host: str) -> str:
    """A host's name, as it is compared."""
    return host.strip("[]").rstrip(".").lower()


def _is_public(address: Address) -> bool:
    if isinstance(address, IPv6Address) and address.is_site_local:
        return False
    return address.is_global and not address.is_multicast and address != _PLATFORM


def _unwrap(address: Address) -> list[Address]:
    """The addresses that one stands for: itself, or those of IPv4 that it carries."""
    if isinstance(address, IPv4Address):
        return [address]
    if address.ipv4_mapped is not None:
        return [address.ipv4_mapped]
    if address.sixtofour is not None:
        return [address, address.sixtofour]
    if address.teredo is not None:
        return [address, *address.teredo]
    if address in _NAT64 or (address in _COMPATIBLE and int(address) > 1):
        return [IPv4Address(int(address) & _IPV4)]
    return [address]
