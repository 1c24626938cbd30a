"""The network address that a call comes from, as the throttle and the audit log know it."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from urllib.parse import unquote

# The first is set by the edge on every request, and stripped from what comes from outside, as is the second.
_EDGE_HEADERS = ("x-labelmesh-client-address", "x-envoy-external-address")
_FORWARDED = "x-forwarded-for"


def client_address(headers: Mapping[str, str], peer: str = "") -> str:
    """Where a request came from: what the edge says, else the last hop of x-forwarded-for (written by the edge itself), else the peer.

    `peer` is as gRPC or Envoy give it. An IPv4 address inside IPv6 is shown as IPv4; what is no address becomes empty.
    """
    candidates = [headers.get(name, "") for name in _EDGE_HEADERS]
    candidates.append(headers.get(_FORWARDED, "").rpartition(",")[2])
    candidates.append(_host_of(peer))
    for candidate in candidates:
        address = _parsed(candidate)
        if address is not None:
            return str(address)
    return ""


def throttle_network(address: str) -> str:
    """What failures are counted by: the IPv4 address, or the IPv6 /64, which one subscriber has whole."""
    parsed = _parsed(address)
    if isinstance(parsed, ipaddress.IPv6Address):
        return str(ipaddress.IPv6Network((parsed, 64), strict=False))
    return str(parsed) if parsed is not None else ""


def _parsed(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        address = ipaddress.ip_address(text.strip().partition("%")[0])
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


def _host_of(peer: str) -> str:
    """The host of gRPC's `ipv4:1.2.3.4:567` and `ipv6:%5B::1%5D:567`, or of a bare address."""
    text = unquote(peer)
    for prefix in ("ipv4:", "ipv6:"):
        if text.startswith(prefix):
            return text.removeprefix(prefix).rpartition(":")[0].strip("[]")
    return text
