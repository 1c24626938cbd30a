"""What the mesh asks of an S3 server, against the one it runs on and against a second one, moto's."""

from __future__ import annotations

import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from labelmesh_chassis.errors import InvalidArgument, NotFound, OutOfRange, Unavailable
from labelmesh_chassis.objects import ObjectStore
from labelmesh_local.objects import S3Server
from moto.server import ThreadedMotoServer

Make = Callable[[str], tuple[ObjectStore, str]]


@pytest.fixture(scope="module")
def moto_endpoint() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"{host}:{port}"
    server.stop()


@pytest.fixture(params=["rclone", "moto"])
def store(request: pytest.FixtureRequest, s3_server: S3Server, moto_endpoint: str) -> tuple[ObjectStore, str]:
    """A store with a new bucket, and the address its presigned paths are served at."""
    endpoint = s3_server.endpoint if request.param == "rclone" else moto_endpoint
    bucket = f"conformance-{abs(hash(request.node.name)) % 10**12}"
    made = ObjectStore(endpoint, s3_server.access_key, s3_server.secret_key, bucket, public_url="/objects")
    made.ensure_bucket()
    return made, f"http://{endpoint}"


def fetch(base: str, address: str, *, method: str = "GET", body: bytes | None = None) -> tuple[int, bytes]:
    """Calls a presigned address as the gateway does: without the prefix, at the server's own host."""
    request = urllib.request.Request(
        base + address.removeprefix("/objects"), data=body, method=method, headers={"content-type": "application/octet-stream"}
    )
    try:
        with urllib.request.urlopen(request, timeout=10) as reply:
            return reply.status, reply.read()
    except urllib.error.HTTPError as refusal:
        return refusal.code, b""


def test_services_that_start_together_all_find_the_bucket(s3_server: S3Server) -> None:
    for attempt in range(5):
        bucket = f"together-{abs(hash(str(attempt))) % 10**12}"
        stores = [
            ObjectStore(s3_server.endpoint, s3_server.access_key, s3_server.secret_key, bucket, public_url="/objects") for _ in range(8)
        ]
        with ThreadPoolExecutor(len(stores)) as pool:
            list(pool.map(ObjectStore.ensure_bucket, stores))
        assert all(store.is_up() for store in stores)


def test_what_is_put_is_what_comes_back(store: tuple[ObjectStore, str]) -> None:
    objects, _ = store
    data = bytes(range(256)) * 1000
    objects.put("images/ab/abc.png", data, "image/png")
    objects.put("images/ab/abc.png", data, "image/png")
    found = objects.stat("images/ab/abc.png")
    assert found is not None
    assert found.size_bytes == len(data)
    assert objects.get("images/ab/abc.png", max_bytes=len(data)) == data


def test_an_empty_object_is_an_object(store: tuple[ObjectStore, str]) -> None:
    objects, _ = store
    objects.put("empty.bin", b"", "application/octet-stream")
    assert objects.get("empty.bin", max_bytes=10) == b""


def test_a_missing_object_is_missing_in_every_way(store: tuple[ObjectStore, str]) -> None:
    objects, _ = store
    assert objects.stat("none/such.png") is None
    objects.delete("none/such.png")
    with pytest.raises(NotFound):
        objects.get("none/such.png", max_bytes=10)


def test_a_deleted_object_is_gone(store: tuple[ObjectStore, str]) -> None:
    objects, _ = store
    objects.put("x.bin", b"x", "application/octet-stream")
    objects.delete("x.bin")
    assert objects.stat("x.bin") is None


def test_an_object_larger_than_asked_for_is_refused(store: tuple[ObjectStore, str]) -> None:
    objects, _ = store
    objects.put("big.bin", b"x" * 1001, "application/octet-stream")
    with pytest.raises(OutOfRange):
        objects.get("big.bin", max_bytes=1000)


def test_a_presigned_get_reads_without_credentials(store: tuple[ObjectStore, str]) -> None:
    objects, base = store
    objects.put("images/p.png", b"picture", "image/png")
    assert fetch(base, objects.presign_get("images/p.png")) == (200, b"picture")


def test_a_presigned_put_writes_without_credentials(store: tuple[ObjectStore, str]) -> None:
    objects, base = store
    status, _ = fetch(base, objects.presign_put("uploads/u.bin"), method="PUT", body=b"sent")
    assert status == 200
    assert objects.get("uploads/u.bin", max_bytes=100) == b"sent"


def test_the_same_moment_gives_the_same_presigned_address(store: tuple[ObjectStore, str]) -> None:
    objects, _ = store
    moment = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    assert objects.presign_get("a.png", at=moment) == objects.presign_get("a.png", at=moment)
    assert objects.presign_get("a.png", at=moment) != objects.presign_get("a.png", at=moment + timedelta(seconds=1))


def test_a_presigned_address_is_refused_after_its_time_or_when_changed(s3_server: S3Server) -> None:
    # Of the server that the mesh runs on alone: moto believes every signature.
    objects = ObjectStore(s3_server.endpoint, s3_server.access_key, s3_server.secret_key, "expiry")
    objects.ensure_bucket()
    objects.put("a.png", b"a", "image/png")
    objects.put("b.png", b"b", "image/png")
    base = f"http://{s3_server.endpoint}"
    old = objects.presign_get("a.png", lifetime_s=60, at=datetime.now(UTC) - timedelta(seconds=3600))
    assert fetch(base, old)[0] in {400, 403}
    changed = objects.presign_get("a.png").replace("a.png", "b.png")
    assert fetch(base, changed)[0] in {400, 403}
    assert fetch(base, "/objects/expiry/a.png")[0] in {400, 403}


def test_a_store_that_is_away_is_unavailable(free_port: int) -> None:
    objects = ObjectStore(f"127.0.0.1:{free_port}", "key", "secret-secret", "bucket", timeout_s=1)
    assert not objects.is_up()
    with pytest.raises(Unavailable):
        objects.put("a.png", b"a", "image/png")
    with pytest.raises(Unavailable):
        objects.stat("a.png")


def test_an_address_that_was_handed_out_can_be_read_inside_the_mesh(store: tuple[ObjectStore, str]) -> None:
    objects, _ = store
    objects.put("images/ab/abc.png", b"a picture", "image/png")
    address = objects.presign_get("images/ab/abc.png")
    assert objects.get_public(address, max_bytes=100) == b"a picture"
    with pytest.raises(OutOfRange):
        objects.get_public(address, max_bytes=8)
    with pytest.raises(NotFound, match="object_url"):
        objects.get_public(objects.presign_get("images/none.png"), max_bytes=100)


def test_a_changed_address_is_refused_by_its_signature(s3_server: S3Server) -> None:
    objects = ObjectStore(s3_server.endpoint, s3_server.access_key, s3_server.secret_key, "signatures", public_url="/objects")
    objects.ensure_bucket()
    objects.put("a.png", b"mine", "image/png")
    objects.put("b.png", b"somebody else's", "image/png")
    with pytest.raises(NotFound):
        objects.get_public(objects.presign_get("a.png").replace("a.png", "b.png"), max_bytes=100)


@pytest.mark.parametrize(
    "address",
    [
        "http://127.0.0.1:1/objects/{bucket}/a.png?{query}",
        "//127.0.0.1/objects/{bucket}/a.png?{query}",
        "/objects/other/a.png?{query}",
        "/objects/{bucket}/../other/a.png?{query}",
        "/objects/{bucket}/%2e%2e/other/a.png?{query}",
        "/objects/{bucket}/..%2Fother/a.png?{query}",
        "/objects/{bucket}/a.png",
        "/objects/{bucket}/a.png?x=1",
        "/objects/{bucket}/a.png?{query}#x",
        "/objects/{bucket}/a.png HTTP/1.1?{query}",
        "/objects/{bucket}",
        "",
    ],
)
def test_an_address_that_is_not_of_the_bucket_is_refused_unasked(store: tuple[ObjectStore, str], address: str) -> None:
    objects, _ = store
    path, _, query = objects.presign_get("a.png").partition("?")
    with pytest.raises(InvalidArgument) as refusal:
        objects.get_public(address.format(bucket=path.split("/")[2], query=query), max_bytes=100)
    assert refusal.value.reason == "OBJECT_URL_REFUSED"
    assert refusal.value.violations[0].field == "object_url"
