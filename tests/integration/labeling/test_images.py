"""Images come in whole or not at all."""

from __future__ import annotations

import hashlib
import io
import struct
import urllib.parse
import uuid
import zlib
from collections.abc import Callable

import pytest
import urllib3
from labelmesh.labeling.v1 import images_pb2 as img
from labelmesh_chassis.errors import InvalidArgument, NotFound, PermissionDenied, Unavailable
from labelmesh_chassis.objects import ObjectStore
from labelmesh_labeling.images import NewImage, add_images, sweep_abandoned
from labelmesh_labeling.pictures import DecoderGate
from labelmesh_labeling.wire import caller_of
from minio import Minio
from PIL import Image

from tests.integration.labeling.people import Door, Person, new_id
from tests.integration.labeling.service import Labeling
from tests.support.stores import StoreAddress


def picture(shade: int, kind: str = "PNG", size: tuple[int, int] = (16, 12)) -> bytes:
    """A small picture, different for every shade (0 to 65,535)."""
    image = Image.new("RGB", size, (shade % 256, shade // 256, 100))
    for x in range(size[0]):
        image.putpixel((x, x % size[1]), (x * 7 % 256, 255 - x, shade % 251))
    file = io.BytesIO()
    image.save(file, kind)
    return file.getvalue()


def huge_png(side: int) -> bytes:
    """A PNG that says it has side x side pixels; its body is small."""

    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")


@pytest.fixture
def bucket(object_store_settings: StoreAddress) -> Callable[[], set[str]]:
    """The keys of all objects that are stored."""
    store = object_store_settings
    client = Minio(store.endpoint, store.access_key, store.secret_key, secure=False)
    return lambda: {str(found.object_name) for found in client.list_objects(store.bucket, recursive=True)}


def test_images_are_stored_by_their_content_and_can_be_loaded_by_their_address(
    labeling: Labeling, manager: Person, project: str, object_store_settings: StoreAddress, bucket: Callable[[], set[str]]
) -> None:
    jpeg, png = picture(1, "JPEG"), picture(2)
    results = manager.add(project, jpeg, png)
    assert [result.outcome for result in results] == [img.AddImageResult.OUTCOME_ADDED] * 2
    first = results[0].image
    digest = hashlib.sha256(jpeg).hexdigest()
    assert (first.sha256, first.width, first.height, first.media_type) == (digest, 16, 12, "image/jpeg")
    assert (first.size_bytes, first.name, first.completed) == (len(jpeg), "file 0", False)
    assert bucket() == {f"images/{digest[:2]}/{digest}.jpg", f"images/{results[1].image.sha256[:2]}/{results[1].image.sha256}.png"}
    address = urllib.parse.urlsplit(first.url)
    direct = f"http://{object_store_settings.endpoint}{address.path.removeprefix('/objects')}?{address.query}"
    with urllib3.PoolManager() as http:
        assert http.request("GET", direct).data == jpeg
        assert http.request("GET", direct.partition("?")[0]).status in (400, 401, 403)


def test_an_image_sent_again_adds_nothing_and_names_the_one_that_is_there(
    labeling: Labeling, manager: Person, project: str, bucket: Callable[[], set[str]]
) -> None:
    (first,) = manager.add(project, picture(1))
    again = manager.add(project, picture(2), picture(1), picture(2))
    assert [img.AddImageResult.Outcome.Name(result.outcome) for result in again] == [
        "OUTCOME_ADDED",
        "OUTCOME_DUPLICATE",
        "OUTCOME_DUPLICATE",
    ]
    assert again[1].image.id == first.image.id
    assert again[2].image.id == again[0].image.id
    assert manager.project(project).images_count == 2
    elsewhere = manager.create_project().id
    assert manager.add(elsewhere, picture(1))[0].outcome == img.AddImageResult.OUTCOME_ADDED
    assert len(bucket()) == 2


BAD = {
    "EMPTY": b"",
    "NOT_AN_IMAGE": b"these are words and no picture",
    "FORMAT_NOT_ALLOWED": b"GIF89a" + bytes(60),
    "TRUNCATED": picture(5, "JPEG", (200, 200))[:-900],
    "TOO_MANY_PIXELS": huge_png(20_000),
}


@pytest.mark.parametrize("reason", BAD)
def test_a_bad_file_is_refused_by_itself_and_the_rest_goes_in(
    labeling: Labeling, manager: Person, project: str, bucket: Callable[[], set[str]], reason: str
) -> None:
    results = manager.add(project, picture(1), BAD[reason], picture(2))
    assert [result.problem_reason for result in results] == ["", reason, ""]
    assert results[1].problem
    assert not results[1].HasField("image")
    assert manager.project(project).images_count == 2
    assert len(bucket()) == 2


@pytest.mark.parametrize("reason", BAD)
def test_all_or_nothing_names_the_field_of_a_bad_file_and_stores_nothing(
    labeling: Labeling, manager: Person, project: str, bucket: Callable[[], set[str]], reason: str
) -> None:
    with pytest.raises(InvalidArgument) as caught:
        manager.add(project, picture(1), picture(2), picture(3), BAD[reason], all_or_nothing=True)
    (violation,) = caught.value.violations
    assert (violation.field, violation.reason) == ("images[3].content", reason)
    assert manager.project(project).images_count == 0
    assert bucket() == set()
    assert labeling.sql("SELECT count(*) AS n FROM blobs")[0].n == 0


def test_a_truncated_png_is_told_from_a_damaged_one(labeling: Labeling, manager: Person, project: str) -> None:
    whole = picture(1, size=(100, 100))
    damaged = whole[:60] + bytes([whole[60] ^ 255]) + whole[61:]
    assert [result.problem_reason for result in manager.add(project, whole[:-200], damaged)] == ["TRUNCATED", "NOT_AN_IMAGE"]


@pytest.mark.parametrize("name", ["x" * 10_000_000, "", "a\0b"])
def test_a_name_that_cannot_be_kept_is_refused_with_its_field(labeling: Labeling, manager: Person, project: str, name: str) -> None:
    request = img.AddImagesRequest(project_id=project, images=[img.NewImage(name=name, content=picture(1))])
    with pytest.raises(InvalidArgument) as caught:
        manager.images.AddImages(request, metadata=manager.metadata)
    assert caught.value.violations[0].field == "images[0].name"
    assert labeling.sql("SELECT count(*) AS n FROM images")[0].n == 0


def test_annotators_add_no_images_and_list_none(labeling: Labeling, ada: Person, project: str) -> None:
    with pytest.raises(PermissionDenied):
        ada.add(project, picture(1))
    with pytest.raises(PermissionDenied):
        ada.images.ListImages(img.ListImagesRequest(project_id=project), metadata=ada.metadata)


def test_images_are_listed_in_the_order_they_came_page_by_page(labeling: Labeling, manager: Person, door: Door, project: str) -> None:
    ids = [result.image.id for result in manager.add(project, *(picture(shade) for shade in range(7)))]
    found: list[str] = []
    token = ""
    for size in (3, 3, 1):
        answer = manager.images.ListImages(
            img.ListImagesRequest(project_id=project, page_size=3, page_token=token), metadata=manager.metadata
        )
        assert len(answer.images) == size
        found += [image.id for image in answer.images]
        token = answer.next_page_token
    assert (found, token) == (ids, "")
    for nonsense in ("nonsense", "WyJpbWFnZXMiXQ"):
        with pytest.raises(InvalidArgument) as caught:
            manager.images.ListImages(img.ListImagesRequest(project_id=project, page_token=nonsense), metadata=manager.metadata)
        assert caught.value.violations[0].field == "page_token"


def test_an_import_finds_out_what_it_need_not_send(labeling: Labeling, manager: Person, project: str) -> None:
    (known,) = manager.add(project, picture(1))
    request = img.FindImagesRequest(project_id=project, sha256=[known.image.sha256, "0" * 64])
    found = manager.images.FindImages(request, metadata=manager.metadata).images
    assert [(image.sha256, image.image_id) for image in found] == [(known.image.sha256, known.image.id)]


def test_an_image_of_another_project_is_not_found(labeling: Labeling, manager: Person, project: str) -> None:
    (known,) = manager.add(project, picture(1))
    request = img.GetImageRequest(project_id=project, image_id=known.image.id)
    assert manager.images.GetImage(request, metadata=manager.metadata).image.name == "file 0"
    for project_id, image_id in ((manager.create_project().id, known.image.id), (project, new_id())):
        with pytest.raises(NotFound):
            manager.images.GetImage(img.GetImageRequest(project_id=project_id, image_id=image_id), metadata=manager.metadata)


class FailingObjects:
    """An object store that is away from the second put on."""

    def __init__(self, real: ObjectStore) -> None:
        self._real = real
        self._puts = 0

    def put(self, key: str, data: bytes, media_type: str) -> None:
        self._puts += 1
        if self._puts > 1:
            raise Unavailable("OBJECT_STORE_UNAVAILABLE", "the object store is away")
        self._real.put(key, data, media_type)

    def delete(self, key: str) -> None:
        self._real.delete(key)


def test_an_import_that_broke_off_leaves_no_object_behind_once_it_is_swept(
    labeling: Labeling, manager: Person, project: str, object_store_settings: StoreAddress, bucket: Callable[[], set[str]]
) -> None:
    store = object_store_settings
    objects = FailingObjects(ObjectStore(store.endpoint, store.access_key, store.secret_key, store.bucket))
    files = [NewImage(str(shade), picture(shade), 0) for shade in range(3)]
    with pytest.raises(Unavailable):
        add_images(labeling.database, objects, DecoderGate(), caller_of(manager.identity), uuid.UUID(project), files, all_or_nothing=False)
    assert len(bucket()) == 1
    assert sweep_abandoned(labeling.database, objects) == 0
    manager.add(project, files[0].content)
    assert sweep_abandoned(labeling.database, objects, age_s=0) == 2
    assert len(bucket()) == 1
    assert labeling.sql("SELECT count(*) AS n FROM blobs WHERE stored")[0].n == 1
    assert manager.add(project, *(file.content for file in files))[2].outcome == img.AddImageResult.OUTCOME_ADDED
    assert len(bucket()) == 3
