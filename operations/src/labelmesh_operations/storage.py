"""One bucket of any S3 server, over the minio client: what backups read, and what they may be written to."""

from __future__ import annotations

import io
import mimetypes
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO, cast

import urllib3
from minio import Minio
from minio.error import InvalidResponseError, MinioException, S3Error, ServerError

from labelmesh_operations.errors import Denied, OperationError, Unreachable

_PART_BYTES = 16 * 2**20
_GONE = ("NoSuchKey", "NoSuchObject", "ResourceNotFound")
_REFUSED = ("AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch", "Forbidden")


class ObjectMissing(OperationError):
    """There is no object under this key."""


class Bucket:
    """Objects by key. Raises Unreachable while the server is away, Denied where it refuses the keys."""

    def __init__(self, endpoint: str, access_key: str, secret_key: str, name: str, *, region: str, secure: bool) -> None:
        self.name = name
        self.where = f"s3://{name} at {endpoint}"
        retries = urllib3.Retry(total=4, backoff_factor=0.2, status_forcelist=[500, 502, 503, 504], allowed_methods=None)
        http = urllib3.PoolManager(timeout=urllib3.Timeout(connect=5, read=60), retries=retries, maxsize=32)
        self._client = Minio(endpoint, access_key=access_key, secret_key=secret_key, region=region, secure=secure, http_client=http)

    def exists(self) -> bool:
        """Whether the bucket is there."""
        with self._spoken():
            return bool(self._client.bucket_exists(self.name))

    def ensure(self) -> None:
        """Makes the bucket when it is not there."""
        with self._spoken():
            if not self._client.bucket_exists(self.name):
                self._client.make_bucket(self.name)

    def listed(self, prefix: str = "") -> Iterator[tuple[str, int]]:
        """Key and size of every object whose key begins with `prefix`; a thousand at a time are held."""
        with self._spoken():
            for found in self._client.list_objects(self.name, prefix=prefix, recursive=True):
                if not found.is_dir:
                    yield str(found.object_name), int(found.size or 0)

    @contextmanager
    def open(self, key: str) -> Iterator[BinaryIO]:
        """The object's content as a stream. Raises ObjectMissing."""
        with self._spoken(key):
            reply = self._client.get_object(self.name, key)
            try:
                yield cast(BinaryIO, reply)
            finally:
                reply.close()
                reply.release_conn()

    def put(self, key: str, stream: BinaryIO, size: int = -1) -> None:
        """Stores an object; one under the same key is replaced. Size -1: until the stream ends, in parts of 16 MiB.

        The media type follows from the key's ending, as keys of the mesh have one.
        """
        media_type = mimetypes.guess_type(key)[0] or "application/octet-stream"
        with self._spoken(key):
            part_size = _PART_BYTES if size < 0 else 0
            self._client.put_object(self.name, key, stream, size, content_type=media_type, part_size=part_size)

    def put_bytes(self, key: str, content: bytes) -> None:
        self.put(key, io.BytesIO(content), len(content))

    def remove(self, key: str) -> None:
        """Removes an object; one that is not there is no error."""
        try:
            with self._spoken(key):
                self._client.remove_object(self.name, key)
        except ObjectMissing:
            return

    @contextmanager
    def _spoken(self, key: str = "") -> Iterator[None]:
        try:
            yield
        except (MinioException, urllib3.exceptions.HTTPError) as failure:
            raise self._translated(failure, key) from failure

    def _translated(self, failure: Exception, key: str) -> OperationError:
        code = failure.code if isinstance(failure, S3Error) else ""
        # Some servers send the error's XML under a content type that the client refuses to read; the text still tells.
        text = str(failure)
        if code in _GONE or (isinstance(failure, InvalidResponseError) and any(word in text for word in _GONE)):
            return ObjectMissing(f"{key} is not in {self.where}.")
        if isinstance(failure, ServerError) and failure.status_code == 404:
            return ObjectMissing(f"{key} is not in {self.where}.")
        if code in _REFUSED or any(word in text for word in _REFUSED):
            return Denied(f"{self.where} refuses: the access key or the secret key is wrong, or may not do this. ({_first_line(text)})")
        if code == "NoSuchBucket" or "NoSuchBucket" in text:
            return Unreachable(f"{self.where} is not there. Is the bucket's name right?")
        return Unreachable(f"{self.where} does not answer as it should; is the server up? ({_first_line(text)})")


def _first_line(text: str) -> str:
    return (text.strip().splitlines() or [""])[0][:200]
