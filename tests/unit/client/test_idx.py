from __future__ import annotations

import gzip
import hashlib
import struct
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from labelmesh_client import DownloadError, SourceError
from labelmesh_client.downloads import fetch
from labelmesh_client.sources.idx import read_images, read_labels
from labelmesh_client.sources.mnist import download, read_split

PIXELS = bytes(range(12)) * 2


def images(count: int = 4, rows: int = 2, columns: int = 3, data: bytes = PIXELS, magic: int = 2051) -> bytes:
    return struct.pack(">IIII", magic, count, rows, columns) + data


def labels(values: bytes = b"\x03\x01\x04\x01", count: int | None = None, magic: int = 2049) -> bytes:
    return struct.pack(">II", magic, len(values) if count is None else count) + values


@pytest.mark.parametrize("compress", [False, True])
def test_pictures_and_labels_are_read_plain_and_compressed(tmp_path: Path, compress: bool) -> None:
    wrap = gzip.compress if compress else bytes
    (tmp_path / "i").write_bytes(wrap(images()))
    (tmp_path / "l").write_bytes(wrap(labels()))
    read = read_images(tmp_path / "i")
    assert (read.count, read.rows, read.columns) == (4, 2, 3)
    assert read[1] == bytes(range(6, 12))
    assert read_labels(tmp_path / "l") == b"\x03\x01\x04\x01"
    with pytest.raises(IndexError):
        read[4]


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", "fewer than 4 bytes"),
        (images()[:2], "fewer than 4 bytes"),
        (images()[:10], "ends inside its header"),
        (images()[:-1], "truncated: 23 of 24 bytes"),
        (images() + b"x", "goes on after its 24 bytes"),
        (images(magic=2049), "begins with the number 2049, where 2051"),
        (images(count=0, data=b""), "damaged: its header claims 0 x 2 x 3"),
        (images(count=4_000_000_000, rows=60_000, columns=60_000), "damaged: its header claims"),
        (gzip.compress(images(), mtime=0)[:-12], "truncated"),
        (gzip.compress(images(), mtime=0)[:20], "truncated"),
        (gzip.compress(images(), mtime=0)[:-8] + b"\0" * 8, "cannot be decompressed"),
        (b"\x1f\x8b" + b"\xff" * 40, "cannot be decompressed"),
        (b"\x89PNG\r\n\x1a\n" + b"\0" * 40, "begins with the number"),
    ],
)
def test_a_damaged_file_is_named_with_what_is_wrong(tmp_path: Path, content: bytes, complaint: str) -> None:
    path = tmp_path / "train-images-idx3-ubyte"
    path.write_bytes(content)
    with pytest.raises(SourceError, match=complaint) as refused:
        read_images(path)
    assert str(path) in str(refused.value)


def test_a_compressed_file_that_unpacks_without_end_is_not_unpacked_beyond_its_header(tmp_path: Path) -> None:
    path = tmp_path / "bomb"
    path.write_bytes(gzip.compress(images() + b"\0" * 50_000_000))
    with pytest.raises(SourceError, match="goes on after"):
        read_images(path)


def test_labels_that_are_fewer_than_the_pictures_are_refused(tmp_path: Path) -> None:
    (tmp_path / "t10k-images-idx3-ubyte").write_bytes(images())
    (tmp_path / "t10k-labels-idx1-ubyte.gz").write_bytes(gzip.compress(labels(b"\x01\x02")))
    assert read_split(tmp_path, "test", with_labels=False).images.count == 4
    with pytest.raises(SourceError, match="2 labels for the 4 pictures"):
        read_split(tmp_path, "test", with_labels=True)


def test_a_missing_file_and_a_missing_folder_are_named(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"train-images-idx3-ubyte.* --download"):
        read_split(tmp_path, "train", with_labels=False)
    with pytest.raises(SourceError, match="no folder"):
        read_split(tmp_path / "none", "train", with_labels=False)


class Mirror(BaseHTTPRequestHandler):
    """Serves what the test put into `files`, `/slow` without end, and `/short` with fewer bytes than announced."""

    files: dict[str, bytes]

    def do_GET(self) -> None:
        if self.path == "/away":
            self.send_response(302)
            self.send_header("Location", "/there")
            self.end_headers()
            return
        content = self.files.get(self.path.partition("?")[0])
        if content is None:
            self.send_error(404)
            return
        self.send_response(200)
        if self.path != "/endless":
            self.send_header("Content-Length", str(len(content) + (5 if self.path == "/short" else 0)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def mirror() -> Iterator[tuple[str, dict[str, bytes]]]:
    files: dict[str, bytes] = {"/there": b"content", "/short": b"content", "/endless": b"x" * 100_000}
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("OneMirror", (Mirror,), {"files": files}))
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}", files
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_download_with_another_checksum_is_not_kept(tmp_path: Path, mirror: tuple[str, dict[str, bytes]]) -> None:
    origin, files = mirror
    files["/train-images-idx3-ubyte.gz"] = gzip.compress(images())
    said: list[str] = []
    with pytest.raises(DownloadError, match="published checksum") as refused:
        download(tmp_path / "new", ["train"], say=said.append, mirrors=(f"{origin}/none", origin))
    assert "404" in str(refused.value)
    assert said == [f"fetching {origin}/none/train-images-idx3-ubyte.gz", f"fetching {origin}/train-images-idx3-ubyte.gz"]
    assert list((tmp_path / "new").iterdir()) == []


def test_files_that_are_there_are_not_fetched_again(tmp_path: Path) -> None:
    for name in ("t10k-images-idx3-ubyte.gz", "t10k-labels.idx1-ubyte"):
        (tmp_path / name).write_bytes(b"x")
    download(tmp_path, ["test"], say=lambda _: None, mirrors=())


def test_a_mirror_that_cannot_be_reached_ends_in_how_to_get_the_files(tmp_path: Path, free_port: int) -> None:
    with pytest.raises(DownloadError, match=r"Connection refused.*Fetch the four files"):
        download(tmp_path, ["train"], say=lambda _: None, mirrors=(f"http://127.0.0.1:{free_port}",))


def test_downloads_have_limits_and_follow_no_redirects_unless_told(mirror: tuple[str, dict[str, bytes]]) -> None:
    origin, _ = mirror
    assert fetch(origin + "/there?secret=1", max_bytes=7) == b"content"
    assert fetch(origin + "/away", max_bytes=7, follow_redirects=True) == b"content"
    for path, complaint in (("/away", "302"), ("/there", "at most 6"), ("/endless", "more than the 6"), ("/none?secret=1", "404")):
        with pytest.raises(DownloadError, match=complaint) as refused:
            fetch(origin + path, max_bytes=6)
        assert "secret" not in str(refused.value)
    with pytest.raises(DownloadError, match="broke off"):
        fetch(origin + "/short", max_bytes=100)
    with pytest.raises(DownloadError, match="not an http"):
        fetch("file:///etc/hostname", max_bytes=100)


def test_the_checksums_are_sha256_sums() -> None:
    from labelmesh_client.sources.mnist import CHECKSUMS

    assert len(CHECKSUMS) == 4
    assert all(len(bytes.fromhex(each)) == hashlib.sha256().digest_size for each in CHECKSUMS.values())
