"""Augmentation behind the edge: its routes, and the classic interface with its pages."""

from __future__ import annotations

import base64
import io
import re
import threading
import urllib.parse
from collections.abc import Iterator
from html import unescape
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import grpc
import pytest
from labelmesh.augment.v1 import augmentations_pb2, augmentations_pb2_grpc, classic_pb2, classic_pb2_grpc, pipelines_pb2
from PIL import Image

from tests.e2e.edge.mesh import ANNOTATOR, PICTURE_HOST, EdgeMesh, Reply, bearer
from tests.e2e.edge.test_models import key_for
from tests.support.mesh import until

BROWSER = "text/html,application/xhtml+xml,*/*;q=0.8"
# Not on the public internet: the service refuses it without asking.
INSIDE = "http://127.0.0.1/cat.jpg"


@pytest.fixture
def key(edge: EdgeMesh, token: str) -> str:
    """An API key that may augment."""
    return key_for(edge, token, "augment.apply")


@pytest.fixture(scope="module")
def pictures(edge: EdgeMesh) -> Iterator[str]:
    """The address of a folder of pictures on a server of their own."""
    noise = Image.effect_noise((2100, 2100), 90)
    files = {"/cat.jpg": ("image/jpeg", jpeg()), "/large.png": ("image/png", encoded(noise, "PNG")), "/page.html": ("text/html", b"<p>no")}
    files["/broken.jpg"] = ("image/jpeg", jpeg()[:200])

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            kind, content = files.get(self.path, ("", b""))
            self.send_response(200 if kind else 404)
            self.send_header("content-type", kind or "text/plain")
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer((PICTURE_HOST, edge.picture_port), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://{PICTURE_HOST}:{edge.picture_port}"
    server.shutdown()
    server.server_close()
    thread.join(timeout=10)


def encoded(image: Image.Image, kind: str) -> bytes:
    file = io.BytesIO()
    image.save(file, kind)
    return file.getvalue()


def jpeg() -> bytes:
    return encoded(Image.new("RGB", (40, 30), (200, 30, 60)), "JPEG")


def classic(edge: EdgeMesh, key: str, path: str = "/augment/", accept: str = BROWSER, **asked: str) -> Reply:
    return edge.http("GET", f"{path}?{urllib.parse.urlencode(asked)}", headers={"x-api-key": key, "accept": accept})


def pictures_on(page: Reply) -> list[bytes]:
    return [base64.b64decode(found) for found in re.findall(r'src="data:image/jpeg;base64,([^"]+)"', page.body.decode())]


def test_whoever_is_signed_in_sees_what_transforms_there_are(edge: EdgeMesh) -> None:
    listed = edge.http("GET", "/v1/transforms", headers={"authorization": f"Bearer {edge.sign_in(ANNOTATOR)}"})
    assert listed.status == 200, listed.body
    assert {"rotate", "cutout", "one_of", "mosaic"} <= {each["name"] for each in listed.json["transforms"]}


def test_a_picture_goes_in_and_comes_back_turned_as_json(edge: EdgeMesh, key: str) -> None:
    box = {"x": 0, "y": 0, "width": 10, "height": 5}
    asked = {
        "sample": {"source": {"image": base64.b64encode(jpeg()).decode()}, "labels": {"boxes": [box]}},
        "pipeline": {"steps": [{"transform": "quarter_turn", "parameters": {"turns": 1}}]},
    }
    reply = edge.http("POST", "/v1/augmentations", asked, {"x-api-key": key})
    assert reply.status == 200, reply.body
    augmented = reply.json["augmented"]
    assert Image.open(io.BytesIO(base64.b64decode(augmented["image"]))).size == (30, 40)
    turned = augmented["labels"]["boxes"][0]
    assert (turned["width"], turned["height"]) == pytest.approx((5, 10))


def test_a_stream_goes_through(edge: EdgeMesh, token: str) -> None:
    item = augmentations_pb2.StreamItem(sample=augmentations_pb2.Sample(source=augmentations_pb2.Source(image=jpeg())), copies=[0, 1])
    pipeline = pipelines_pb2.Pipeline(steps=[pipelines_pb2.Step(transform="horizontal_flip")])
    requests = iter([augmentations_pb2.ApplyStreamRequest(pipeline=pipeline, seed=3, items=[item, item])])
    with edge.channel() as channel:
        answers = augmentations_pb2_grpc.AugmentationServiceStub(channel).ApplyStream(requests, metadata=bearer(token), timeout=30)
        results = [result for answer in answers for result in answer.results]
    assert [(result.index, result.copy) for result in results] == [(0, 0), (0, 1), (1, 0), (1, 1)]
    assert {result.WhichOneof("result") for result in results} == {"augmented"}


@pytest.mark.parametrize(("scope", "status"), [("augment.read", 200), ("inference.read", 403)])
def test_a_key_may_do_what_its_scopes_say(edge: EdgeMesh, token: str, scope: str, status: int) -> None:
    assert edge.http("GET", "/v1/transforms", headers={"x-api-key": key_for(edge, token, scope)}).status == status


@pytest.mark.parametrize("path", ["/augment", "/augment/"])
def test_without_an_address_it_tells_how_to_use_it(edge: EdgeMesh, path: str) -> None:
    text = edge.http("GET", path, headers={"accept": "*/*"})
    assert (text.status, text.headers["content-type"]) == (200, "text/plain; charset=utf-8")
    assert f"http://127.0.0.1:{edge.port}/augment/?url=" in text.body.decode()
    page = edge.http("GET", path, headers={"accept": BROWSER})
    assert (page.status, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert "<h1>What does training see?</h1>" in page.body.decode()
    assert edge.http("HEAD", path).status == 200


def test_a_page_shows_the_picture_before_and_after_with_what_was_drawn(edge: EdgeMesh, key: str, pictures: str) -> None:
    page = classic(edge, key, url=f"{pictures}/cat.jpg", seed="7")
    assert (page.status, page.headers["content-type"].partition(";")[0]) == (200, "text/html")
    shown = pictures_on(page)
    assert len(shown) == 2
    assert all(Image.open(io.BytesIO(each)).format == "JPEG" for each in shown)
    assert "seed=7" in unescape(page.body.decode())
    assert pictures_on(classic(edge, key, url=f"{pictures}/cat.jpg", seed="7")) == shown, "the same seed gives the same picture"


def test_the_image_alone_is_the_file_and_the_same_for_the_same_seed(edge: EdgeMesh, key: str, pictures: str) -> None:
    first, again, other = (
        classic(edge, key, url=f"{pictures}/cat.jpg", seed=seed, format="image", accept="*/*") for seed in ("7", "7", "8")
    )
    assert (first.status, first.headers["content-type"]) == (200, "image/jpeg")
    assert Image.open(io.BytesIO(first.body)).format == "JPEG"
    assert first.body == again.body != other.body


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("large.png", "larger than 4"),
        ("page.html", "text/html"),
        ("gone.jpg", "404"),
        ("broken.jpg", "JPEG"),
    ],
)
def test_a_file_that_cannot_be_used_gets_a_page_that_says_why(edge: EdgeMesh, key: str, pictures: str, name: str, words: str) -> None:
    page = classic(edge, key, url=f"{pictures}/{name}")
    assert (page.status, page.headers["content-type"].partition(";")[0]) == (400, "text/html")
    assert words in unescape(page.body.decode())


@pytest.mark.parametrize("path", ["/augment", "/augment/"])
def test_a_bad_address_gets_a_page_that_says_what_was_wrong(edge: EdgeMesh, key: str, path: str) -> None:
    page = classic(edge, key, path, url=INSIDE)
    assert (page.status, page.headers["content-type"].partition(";")[0]) == (400, "text/html")
    assert "not on the public internet" in unescape(page.body.decode())
    assert page.headers["content-security-policy"].startswith("default-src 'none'; img-src data:")
    assert "x-labelmesh-status" not in page.headers


def test_a_page_runs_nothing_that_was_in_the_address(edge: EdgeMesh, key: str) -> None:
    page = classic(edge, key, url='http://127.0.0.1/"><script>alert(1)</script>')
    assert page.status == 400
    assert b"<script" not in page.body


def test_for_the_image_alone_errors_are_those_of_every_call(edge: EdgeMesh, key: str) -> None:
    refused = classic(edge, key, url=INSIDE, format="image", accept="*/*")
    assert (refused.status, refused.reason) == (400, "URL_REFUSED")


def test_the_root_with_an_address_leads_to_it(edge: EdgeMesh) -> None:
    moved = edge.http("GET", "/?url=http%3A%2F%2Fexample.org%2Fcat.jpg&seed=7")
    assert moved.status == 302
    assert urllib.parse.urlsplit(moved.headers["location"])[2:4] == ("/augment/", "url=http%3A%2F%2Fexample.org%2Fcat.jpg&seed=7")


def test_who_is_not_signed_in_reads_so_in_a_browser_and_in_json(edge: EdgeMesh) -> None:
    target = f"/augment/?url={urllib.parse.quote(INSIDE)}"
    page = edge.http("GET", target, headers={"accept": BROWSER})
    assert (page.status, page.headers["content-type"].partition(";")[0]) == (401, "text/html")
    assert re.search(r"<h1>Sign in first", page.body.decode())
    assert "style-src 'self'" in page.headers["content-security-policy"]
    refused = edge.http("GET", target, headers={"accept": "*/*"})
    assert (refused.status, refused.reason) == (401, "CREDENTIAL_MISSING")


def test_a_key_for_something_else_reads_so_in_a_browser(edge: EdgeMesh, token: str) -> None:
    page = classic(edge, key_for(edge, token, "inference.read"), url=INSIDE)
    assert (page.status, page.headers["content-type"].partition(";")[0]) == (403, "text/html")


@pytest.mark.parametrize(("method", "path"), [("GET", "/augment/x"), ("POST", "/augment/"), ("PUT", "/augment")])
def test_nothing_else_is_served_beside_it(edge: EdgeMesh, method: str, path: str) -> None:
    assert edge.http(method, path, {} if method != "GET" else None).status == 404


def test_a_grpc_caller_cannot_be_given_another_status(edge: EdgeMesh, token: str) -> None:
    with edge.channel() as channel:
        answer = classic_pb2_grpc.ClassicServiceStub(channel).ClassicAugment(
            classic_pb2.ClassicAugmentRequest(url=INSIDE), metadata=bearer(token), timeout=30
        )
    assert answer.content_type.startswith("text/html")


def test_labeling_goes_on_while_augment_is_away_and_a_page_says_so(edge: EdgeMesh, token: str, key: str) -> None:
    edge.augment.process.kill()
    try:
        away = classic(edge, key, url=INSIDE)
        assert (away.status, away.headers["content-type"].partition(";")[0]) == (503, "text/html")
        assert classic(edge, key, url=INSIDE, accept="*/*").reason == "SERVICE_UNAVAILABLE"
        assert edge.http("GET", "/v1/projects", headers={"authorization": f"Bearer {token}"}).status == 200
    finally:
        edge.augment.start()
    until(lambda: classic(edge, key, url=INSIDE).status == 400)


def test_a_file_larger_than_16_mib_is_refused_with_the_fields_name(edge: EdgeMesh, token: str) -> None:
    sample = augmentations_pb2.Sample(source=augmentations_pb2.Source(image=bytes(16 * 2**20 + 1)))
    with edge.channel() as channel, pytest.raises(grpc.RpcError) as caught:
        augmentations_pb2_grpc.AugmentationServiceStub(channel).Apply(
            augmentations_pb2.ApplyRequest(sample=sample, pipeline=pipelines_pb2.Pipeline()), metadata=bearer(token), timeout=30
        )
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
