from __future__ import annotations

import pytest
from labelmesh_client import Address, ConfigurationError, parse_address


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("http://localhost:8080", Address("localhost", 8080, False)),
        ("http://labels.example.org", Address("labels.example.org", 80, False)),
        ("https://labels.example.org", Address("labels.example.org", 443, True)),
        ("https://labels.example.org:8443/", Address("labels.example.org", 8443, True)),
        ("labels.example.org:9000", Address("labels.example.org", 9000, True)),
        ("labels.example.org", Address("labels.example.org", 443, True)),
        ("192.168.1.7:8080", Address("192.168.1.7", 8080, True)),
        ("localhost", Address("localhost", 8080, False)),
        ("localhost:5000", Address("localhost", 5000, False)),
        ("127.0.0.1:5000", Address("127.0.0.1", 5000, False)),
        ("[::1]:5000", Address("::1", 5000, False)),
        ("http://[2001:db8::7]:80", Address("2001:db8::7", 80, False)),
    ],
)
def test_plain_text_is_spoken_to_this_machine_only_unless_http_is_asked_for(text: str, expected: Address) -> None:
    assert parse_address(text) == expected


@pytest.mark.parametrize(
    "text",
    ["", "ftp://host:1", "http://", "http://host:port", "http://host:70000", "host:0", "http://host/path", "http://u:p@host", "a b:80"],
)
def test_what_is_no_address_is_refused_with_a_sentence(text: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        parse_address(text)
    assert str(refused.value).endswith(".")


def test_an_ipv6_address_keeps_its_brackets_on_the_way_out() -> None:
    address = parse_address("http://[::1]:8080")
    assert address.target == "dns:///[::1]:8080"
    assert address.origin == "http://[::1]:8080"


def test_image_urls_are_resolved_against_the_gateway() -> None:
    address = parse_address("https://labels.example.org")
    assert address.resolve("/objects/b/k.png?X-Amz=1") == "https://labels.example.org:443/objects/b/k.png?X-Amz=1"
    assert address.resolve("https://elsewhere.example.org/k.png") == "https://elsewhere.example.org/k.png"
