"""What the classic interface tells about itself."""

from __future__ import annotations

import ast
import re

import pytest
from labelmesh_gateway.classic import URLS, Instructions, as_format, instructions

# What Envoy puts in: https://www.envoyproxy.io/docs/envoy/latest/configuration/observability/access_log/usage#command-operators
ADDRESS = "%REQ(X-FORWARDED-PROTO)%://%REQ(:AUTHORITY)%"


def forms(name: str = "inference") -> tuple[Instructions, Instructions]:
    page, text = (form for form in instructions() if form.urls == URLS[name])
    return page, text


@pytest.mark.parametrize("name", URLS)
def test_browsers_get_a_page_and_everybody_else_text(name: str) -> None:
    page, text = forms(name)
    assert (page.accepted, page.headers["content-type"]) == ("text/html", "text/html; charset=utf-8")
    assert (text.accepted, text.headers["content-type"]) == ("", "text/plain; charset=utf-8")
    assert page.urls == text.urls == URLS[name]
    assert page.headers["vary"] == text.headers["vary"] == "accept", "else a cache gives one reader what the other asked for"


@pytest.mark.parametrize("name", URLS)
def test_the_only_commands_for_envoy_in_it_are_those_of_the_address(name: str) -> None:
    for form in forms(name):
        assert form.format.count(ADDRESS) >= 3
        rest = form.format.replace(ADDRESS, "").replace("%%", "")
        assert "%" not in rest
        assert "\0" not in rest


def test_a_percent_sign_in_the_text_is_no_command() -> None:
    assert as_format("%REQ(X-API-KEY)% of 100 %") == "%%REQ(X-API-KEY)%% of 100 %%"


@pytest.mark.parametrize("name", URLS)
def test_both_forms_say_the_same(name: str) -> None:
    page, text = forms(name)
    words = [re.findall(r"[A-Za-z]{4,}", re.sub(r"<[^>]*>|&[#a-z0-9]+;", " ", form.format)) for form in (page, text)]
    assert set(words[1]) - set(words[0]) == set()


@pytest.mark.parametrize("name", URLS)
def test_the_python_example_is_python_and_uses_nothing_that_must_be_installed(name: str) -> None:
    _, text = forms(name)
    block = next(part for part in re.split(r"\n(?=\S)", text.format) if "urllib.request" in part and "import " in part)
    lines = [line.removeprefix("    ") for line in block.splitlines() if line.startswith("    ") or not line]
    tree = ast.parse("\n".join(lines))
    imported = {name.name for node in ast.walk(tree) if isinstance(node, ast.Import) for name in node.names}
    assert imported == {"inference": {"json", "os", "urllib.request"}, "augment": {"os", "urllib.parse", "urllib.request"}}[name]


@pytest.mark.parametrize("name", URLS)
def test_nothing_on_the_page_would_be_stopped_by_its_policy(name: str) -> None:
    page, _ = forms(name)
    assert "<script" not in page.format
    assert "style=" not in page.format
    assert set(re.findall(r'(?:src|href)="([^"]*)"', page.format)) == {"data:,", "/docs/api/reference.css", "/docs/api/", "/"}
