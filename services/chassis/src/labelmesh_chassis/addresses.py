"""Which addresses of the internet somebody who gives us a URL may have us call."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

# Sources: https://www.iana.org/assignments/iana-ipv4-special-registry and .../iana-ipv6-special-registry. `is_global` of the standard
# library lets several of them through, depending on Python's version.
_NOT_PUBLIC_4 = tuple(
    IPv4Network(network)
    for network in (
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.31.196.0/24",
        "192.52.193.0/24",
        "192.88.99.0/24",
        "192.168.0.0/16",
        "192.175.48.0/24",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",
        "240.0.0.0/4",
        # A cloud's own services, at a public address that is answered inside its machines alone.
        "168.63.129.16/32",
    )
)
# All of the unicast space that is given out; everything else is local, mapped, reserved or multicast.
_PUBLIC_6 = IPv6Network("2000::/3")
_NOT_PUBLIC_6 = tuple(
    IPv6Network(network)
    for network in (
        # Protocol assignments, Teredo (2001::/32) and ORCHID among them.
        "2001::/23",
        "2001:db8::/32",
        # 6to4: an IPv4 address inside.
        "2002::/16",
        "2620:4f:8000::/48",
        "3fff::/20",
    )
)


def is_public(address: Address) -> bool:
    """Whether it is a global unicast address that stands for nothing but itself."""
    if isinstance(address, IPv4Address):
        return address.is_global and not any(address in network for network in _NOT_PUBLIC_4)
    if address.scope_id is not None or address not in _PUBLIC_6 or not address.is_global:
        return False
    # ISATAP (RFC 5214): an IPv4 address behind 0000:5efe or 0200:5efe.
    embeds = (int(address) >> 32) & 0xFDFFFFFF == 0x00005EFE
    return not embeds and not any(address in network for network in _NOT_PUBLIC_6)


def may_be_called(address: Address, allowed: Sequence[Network] = ()) -> bool:
    """Whether it is public or in one of the networks that are allowed besides."""
    return is_public(address) or any(address.version == network.version and address in network for network in allowed)


def literal(host: str) -> Address | None:
    """The address that a URL's host is, or None for a name. ValueError for one that readers understand differently: numbers with fewer than
    four parts, octal or hexadecimal ones, and IPv6 with a zone. Source: https://url.spec.whatwg.org/#ends-in-a-number-checker."""
    if ":" in host:
        if "%" in host:
            raise ValueError("an address with a zone")
        return IPv6Address(host)
    last = host.rstrip(".").rpartition(".")[2]
    if last.isdigit() or last[:2] in {"0x", "0X"}:
        return ip_address(host)
    return None
