"""The page of the first augmentation server: an address in, the image augmented out, errors told by a page."""

from __future__ import annotations

import base64
import html
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Any

import pytest
from labelmesh.augment.v1 import classic_pb2, classic_pb2_grpc
from labelmesh_augment.augmenting.asking import Asking, Saved
from labelmesh_augment.augmenting.sources import Sources
from labelmesh_augment.classic.servicer import ClassicServicer
from labelmesh_augment.pictures.reading import inspect
from labelmesh_augment.pipelines.wire import pipeline_from
from labelmesh_augment.work.orders import WORKER
from labelmesh_chassis.errors import InvalidArgument, MeshError
from labelmesh_chassis.identity import IdentityVerifier
from labelmesh_chassis.server import ServerBuilder
from labelmesh_chassis.settings import ServiceSettings
from labelmesh_chassis.workers import PoolSettings, WorkerPool
from pydantic import SecretStr

from tests.integration.augment.service import pictures
from tests.integration.augment.service.people import Door, Person
from tests.support.identities import Signer

CAT = "https://example.org/cat.jpg"
PICTURES = {
    CAT: pictures.jpeg(300, 200),
    "https://example.org/a?b=1&c=%22>": pictures.png(),
    "https://example.org/text": b"<script>alert(1)</script>",
}


# Of a page that says what went wrong.
EXPECTED = {
    "html", "head", "meta", "title", "link", "style", "body", "main", "h1", "form", "label", "input", "button", "div", "p", "strong", "a",
}  # fmt: skip


def fetched(url: str, most: int) -> bytes:
    """What lies at some addresses, as if they were of the internet, which tests do not ask."""
    if url not in PICTURES:
        raise InvalidArgument("URL_FAILED", f"nothing could be fetched from this address: {url}", field="url")
    return PICTURES[url]


@pytest.fixture(scope="module")
def door(signer: Signer) -> Iterator[Door]:
    """The classic service alone, with real workers, before an internet of a few pictures."""
    pool = WorkerPool(PoolSettings(WORKER, 1, 100_000_000, 100_000_000))
    pool.start()
    nowhere: Any = None
    asking = Asking(pool, Sources(nowhere, nowhere, fetched), Saved(nowhere, pipeline_from), lambda content: inspect(content).pixels)
    settings = ServiceSettings(listen="127.0.0.1:0", database_url=SecretStr("postgresql+psycopg2://unused"))
    builder = ServerBuilder("classic", settings, verifier=IdentityVerifier(signer))
    builder.add(
        classic_pb2.DESCRIPTOR.services_by_name["ClassicService"],
        classic_pb2_grpc.add_ClassicServiceServicer_to_server,
        ClassicServicer(asking),
    )
    builder.on_stop(pool.close)
    server = builder.build()
    opened = Door(f"127.0.0.1:{server.start()}", signer)
    yield opened
    opened.close()
    server.stop(lead_s=0, drain_s=2)


@pytest.fixture
def ada(door: Door) -> Person:
    return door.person()


class Page(HTMLParser):
    """What a browser would find."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.text = ""
        self.open: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in ("meta", "link", "input", "img", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.text += data

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attributes for found, attributes in self.tags if found == tag]

    def links(self) -> dict[str, str]:
        return {attributes["href"]: attributes["href"] for attributes in self.all("a")}


def page(person: Person, url: str, **more: Any) -> tuple[Page, str]:
    """A page and the status that it has."""
    body, metadata = person.classic(url, **more)
    assert body.content_type == "text/html; charset=utf-8"
    found = Page(body.data.decode())
    assert found.open == []
    assert not found.all("script")
    assert not [name for _, attributes in found.tags for name in attributes if name.startswith("on") or name == "style"]
    return found, metadata.get("x-labelmesh-status", "200")


def test_the_page_shows_the_image_before_and_after(ada: Person) -> None:
    found, status = page(ada, CAT, seed=7)
    assert status == "200"
    before, after = [image["src"] for image in found.all("img")]
    kind, _, data = before.partition(",")
    assert kind == "data:image/jpeg;base64"
    assert pictures.pixels_of(base64.b64decode(data)).shape == (200, 300, 3)
    assert after != before
    assert "Before: 300 × 200 pixels" in found.text
    assert "with seed 7" in found.text


def test_the_page_tells_each_step_with_its_values_in_words(ada: Person) -> None:
    told = " ".join(page(ada, CAT, seed=seed)[0].text for seed in range(12))
    assert re.search(r"\N{MINUS SIGN}?[\d.]+°", told)
    assert re.search(r"[\d.]+ % of", told)
    assert not re.search(r"\b[0-9a-f]{32}\b", told)


def test_the_same_seed_is_the_same_page_but_for_the_next_seed(ada: Person) -> None:
    def images(**more: Any) -> list[str]:
        return [image["src"] for image in page(ada, CAT, **more)[0].all("img")]

    assert images(seed=5) == images(seed=5)
    assert images(seed=0) == images(seed=0)
    assert images(seed=5)[1] != images(seed=6)[1]
    assert len({images()[1] for _ in range(4)}) > 1


def test_the_seed_that_was_drawn_is_told_and_makes_the_same_again(ada: Person) -> None:
    found, _ = page(ada, CAT)
    (seed,) = re.findall(r"with seed (\d+)", found.text)
    assert [image["src"] for image in page(ada, CAT, seed=int(seed))[0].all("img")] == [image["src"] for image in found.all("img")]
    links = list(found.links())
    assert f"/augment/?url=https%3A%2F%2Fexample.org%2Fcat.jpg&seed={seed}" in links
    assert f"/augment/?url=https%3A%2F%2Fexample.org%2Fcat.jpg&seed={seed}&format=image" in links
    assert "/#/augment?url=https%3A%2F%2Fexample.org%2Fcat.jpg" in links
    (another,) = [link for link in links if link.startswith("/augment/?") and "format" not in link and not link.endswith(f"={seed}")]
    assert re.fullmatch(r"/augment/\?url=[^&]*&seed=\d+", another)


def test_the_form_has_what_was_asked(ada: Person) -> None:
    found, _ = page(ada, CAT, seed=7)
    (form,) = found.all("form")
    assert (form["action"], form["method"]) == ("/augment/", "get")
    assert {one["name"]: one["value"] for one in found.all("input")} == {"url": CAT, "seed": "7"}


def test_the_picture_itself_is_what_apply_makes(ada: Person) -> None:
    body, _ = ada.classic(CAT, format="image", seed=7)
    assert body.content_type == "image/jpeg"
    assert ada.classic(CAT, format="image", seed=7)[0] == body
    assert ada.classic("https://example.org/a?b=1&c=%22>", format="image")[0].content_type == "image/png"


def test_asking_again_changes_nothing(ada: Person) -> None:
    assert len({ada.classic(CAT, format="image", seed=1)[0].data for _ in range(5)}) == 1


@pytest.mark.parametrize(
    ("url", "more", "status", "reason"),
    [
        ("", {}, "400", "URL_MISSING"),
        ("   ", {}, "400", "URL_MISSING"),
        ("https://example.org/nothing", {}, "400", "URL_FAILED"),
        ("https://example.org/text", {}, "400", "NOT_AN_IMAGE"),
        (CAT, {"format": "gif"}, "400", "FORMAT_UNKNOWN"),
        (CAT, {"format": "Image"}, "400", "FORMAT_UNKNOWN"),
    ],
)
def test_what_went_wrong_is_told_by_a_page_with_its_status(ada: Person, url: str, more: dict[str, str], status: str, reason: str) -> None:
    found, told = page(ada, url, **more)
    assert told == status
    assert reason in found.text
    assert found.all("form")
    assert not found.all("img")


def test_for_a_picture_what_goes_wrong_is_an_error_like_any_other(ada: Person) -> None:
    for url, reason in (("", "URL_MISSING"), ("https://example.org/text", "NOT_AN_IMAGE"), ("https://example.org/nothing", "URL_FAILED")):
        with pytest.raises(MeshError) as refused:
            ada.classic(url, format="image")
        assert refused.value.reason == reason


@pytest.mark.parametrize(
    "url",
    [
        '"><script>alert(1)</script>',
        "https://example.org/<img src=x onerror=alert(1)>",
        "javascript:alert('x')",
        "https://example.org/\u202e\u0000&quot;&#34;",
        "https://example.org/" + "x" * 3900,
        "' autofocus onfocus='alert(1)",
    ],
)
def test_nothing_that_was_asked_becomes_part_of_the_page(ada: Person, url: str) -> None:
    found, status = page(ada, url)
    assert status == "400"
    assert [one["value"] for one in found.all("input") if one["name"] == "url"] == [html.unescape(html.escape(url))]
    assert {tag for tag, _ in found.tags} <= EXPECTED
    assert all(link.startswith(("/augment/", "/#/augment?")) for link in found.links())


def test_nothing_of_an_address_that_works_becomes_part_of_the_page_either(ada: Person) -> None:
    url = "https://example.org/a?b=1&c=%22>"
    found, status = page(ada, url)
    assert status == "200"
    assert {one["value"] for one in found.all("input") if one["name"] == "url"} == {url}
    assert "/#/augment?url=https%3A%2F%2Fexample.org%2Fa%3Fb%3D1%26c%3D%2522%3E" in found.links()
