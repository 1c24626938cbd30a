"""Where a call comes from."""

from __future__ import annotations

import pytest
from labelmesh_auth.addresses import client_address, throttle_network


@pytest.mark.parametrize(
    ("headers", "peer", "address"),
    [
        ({"x-labelmesh-client-address": "203.0.113.7", "x-forwarded-for": "10.0.0.1"}, "ipv4:127.0.0.1:9", "203.0.113.7"),
        ({"x-envoy-external-address": "203.0.113.7", "x-forwarded-for": "10.0.0.1"}, "", "203.0.113.7"),
        ({"x-forwarded-for": "6.6.6.6, 203.0.113.7"}, "ipv4:127.0.0.1:9", "203.0.113.7"),
        ({"x-forwarded-for": "nonsense"}, "ipv4:198.51.100.4:4711", "198.51.100.4"),
        ({}, "ipv6:%5B2001:db8::1%5D:4711", "2001:db8::1"),
        ({}, "ipv6:[::ffff:198.51.100.4]:4711", "198.51.100.4"),
        ({}, "198.51.100.4", "198.51.100.4"),
        ({}, "unix:/run/socket", ""),
        ({}, "", ""),
    ],
)
def test_the_nearest_hop_that_can_be_trusted_says_the_address(headers: dict[str, str], peer: str, address: str) -> None:
    assert client_address(headers, peer) == address


def test_ipv4_counts_by_address_and_ipv6_by_network() -> None:
    assert throttle_network("198.51.100.4") == "198.51.100.4"
    assert throttle_network("2001:db8:1:2:3::4") == throttle_network("2001:db8:1:2::9") == "2001:db8:1:2::/64"
    assert throttle_network("") == ""
