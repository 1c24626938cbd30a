"""What the classic interfaces say of themselves: how to make a key, an example that works, what errors look like."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import jinja2

from labelmesh_gateway.pages import SECURITY_HEADERS
from labelmesh_gateway.reference import prose

URLS = {
    "inference": ("/inference", "/inference/", "/predict", "/inference/predict"),
    "augment": ("/augment", "/augment/"),
}
"""Where each of them tells how to use it."""
ASKED_BY = {"/augment": "url"}
"""Paths that are also those of calls, and the query parameter that makes it one."""
_ADDRESS = "%REQ(X-FORWARDED-PROTO)%://%REQ(:AUTHORITY)%"
_MARK = "\0address\0"


@dataclass(frozen=True)
class Instructions:
    """One form of the text. `format` is a format string of Envoy, which puts in the address that the reader used."""

    urls: tuple[str, ...]
    accepted: str
    """Only for those whose accept header has this; empty: for everybody."""
    format: str
    headers: Mapping[str, str] = field(hash=False)


def instructions() -> tuple[Instructions, ...]:
    """In order: the first that fits the reader."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("labelmesh_gateway", "site"),
        undefined=jinja2.StrictUndefined,
        autoescape=jinja2.select_autoescape(("html.j2",)),
        keep_trailing_newline=True,
    )
    environment.filters["prose"] = prose
    common = {**SECURITY_HEADERS, "cache-control": "no-cache", "vary": "accept"}
    forms: list[Instructions] = []
    for name, urls in URLS.items():
        text = environment.get_template(f"{name}.txt.j2").render(address=_MARK)
        page = environment.get_template("classic.html.j2").render(parts=_parts(text), address=_MARK)
        forms.append(Instructions(urls, "text/html", as_format(page), {**common, "content-type": "text/html; charset=utf-8"}))
        forms.append(Instructions(urls, "", as_format(text), {**common, "content-type": "text/plain; charset=utf-8"}))
    return tuple(forms)


def _parts(text: str) -> list[tuple[str, str]]:
    """The paragraphs of the text, each with what it is: "heading" (the first line), "code" (indented) or "prose"."""
    paragraphs = text.strip("\n").split("\n\n")
    kinds = ["heading", *("code" if paragraph.startswith("    ") else "prose" for paragraph in paragraphs[1:])]
    merged: list[tuple[str, str]] = []
    for kind, paragraph in zip(kinds, paragraphs, strict=True):
        if kind == "code":
            paragraph = "\n".join(line.removeprefix("    ") for line in paragraph.splitlines())
            if merged[-1][0] == "code":  # an empty line within an example
                merged[-1] = ("code", f"{merged[-1][1]}\n\n{paragraph}")
                continue
        merged.append((kind, paragraph))
    return merged


def as_format(text: str) -> str:
    """Text as a format string of Envoy: what looks like a command in it stays as it is, but for the address."""
    return text.replace("%", "%%").replace(_MARK, _ADDRESS)
