"""Objects in any S3 server, over the minio client.

Keys are content-addressed by their users, all truth about objects lies in Postgres, and nothing but whole-object put, get, stat,
delete and presigned addresses is asked of the server, so that the plainest S3 server will do.
"""

from __future__ import annotations

import io
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

import urllib3
from minio import Minio
from minio.error import InvalidResponseError, MinioException, S3Error, ServerError

from labelmesh_chassis.errors import InvalidArgument, NotFound, OutOfRange, Unavailable
from labelmesh_chassis.tracing import part

# Parts of a path that lead elsewhere once a server resolves them.
_CLIMBING = re.compile(r"(^|/|%2[fF])(\.|%2[eE]){1,2}(/|%2[fF]|$)|\\|%5[cC]|[\x00-\x20]")
_S3_NAMES = {"put": "PutObject", "get": "GetObject", "stat": "HeadObject", "delete": "DeleteObject"}
_GONE = {"NoSuchKey", "NoSuchObject", "ResourceNotFound"}


@dataclass(frozen=True)
class ObjectInfo:
    """What the server says of an object."""

    key: str
    size_bytes: int
    etag: str


class ObjectStore:
    """One bucket. Every operation raises Unavailable while the server is away."""

    def __init__(
        self,
        endpoint: str,
        access_key: str,
        secret_key: str,
        bucket: str,
        *,
        region: str = "us-east-1",
        secure: bool = False,
        public_url: str = "/objects",
        timeout_s: float = 10,
    ) -> None:
        # Told what was asked of the server, how it ended (ok, missing, unavailable), and how many seconds it took.
        self.on_end: Callable[[str, str, float], None] | None = None
        self._bucket = bucket
        self._public_url = public_url.rstrip("/")
        self._server = f"{'https' if secure else 'http'}://{endpoint}"
        retries = urllib3.Retry(total=2, connect=2, read=1, backoff_factor=0.1, status_forcelist=[500, 502, 503, 504], allowed_methods=None)
        timeout = urllib3.Timeout(connect=2, read=timeout_s)
        host, _, port = endpoint.rpartition(":")
        self._told: dict[str, str | int | float] = {"rpc.system.name": "aws-api", "aws.s3.bucket": bucket}
        self._told |= {"server.address": host, "server.port": int(port)}
        self._http = urllib3.PoolManager(timeout=timeout, retries=retries, maxsize=32)
        self._client = Minio(endpoint, access_key=access_key, secret_key=secret_key, region=region, secure=secure, http_client=self._http)

    def ensure_bucket(self) -> None:
        """Makes the bucket when it is not there; several services may do so at once."""
        try:
            if not self._client.bucket_exists(self._bucket):
                self._client.make_bucket(self._bucket)
        except (MinioException, urllib3.exceptions.HTTPError) as failure:
            # Somebody else was faster, perhaps. Servers word that in different ways; whether the bucket is there is what counts.
            if not self.is_up():
                raise _unavailable(failure) from failure

    def put(self, key: str, data: bytes, media_type: str) -> None:
        """Stores an object; one under the same key is replaced."""
        with self._asked("put"):
            self._client.put_object(self._bucket, key, io.BytesIO(data), len(data), content_type=media_type)

    def get(self, key: str, *, max_bytes: int) -> bytes:
        """The whole object; NotFound, or OutOfRange when it is larger than `max_bytes`."""
        with self._asked("get"):
            reply = self._client.get_object(self._bucket, key)
            try:
                data: bytes = reply.read(max_bytes + 1)
            finally:
                reply.close()
                reply.release_conn()
        if len(data) > max_bytes:
            raise OutOfRange("OBJECT_TOO_LARGE", f"the object has more than {max_bytes} bytes")
        return data

    def get_public(self, address: str, *, max_bytes: int, field: str = "object_url") -> bytes:
        """What an address of `presign_get` leads to, also one that another service made: its signature is the permission, checked by
        the server. InvalidArgument (OBJECT_URL_REFUSED) for an address that is not of this bucket; NotFound where nothing is there or the
        address has expired; OutOfRange for more than `max_bytes`.
        """
        path, _, query = address.removeprefix(self._public_url).partition("?")
        ours = address.startswith(f"{self._public_url}/{self._bucket}/") and not _CLIMBING.search(path)
        if not ours or "X-Amz-Signature=" not in query or "#" in address:
            problem = "is not an address of the mesh's object storage, as e.g. an image's url is"
            raise InvalidArgument("OBJECT_URL_REFUSED", f"{field} {problem}", field=field)
        with self._asked("get"):
            reply = self._http.request("GET", f"{self._server}{path}?{query}", preload_content=False, redirect=False)
            try:
                data: bytes = reply.read(max_bytes + 1) if reply.status in (200, 206) else b""
            finally:
                reply.close()
                reply.release_conn()
            if reply.status in (400, 403, 404):
                raise NotFound("OBJECT_MISSING", f"{field} leads nowhere: its time is over, or the object is gone", field=field)
            if reply.status not in (200, 206):
                raise urllib3.exceptions.HTTPError(f"status {reply.status}")
        if len(data) > max_bytes:
            raise OutOfRange("OBJECT_TOO_LARGE", f"the object has more than {max_bytes} bytes", field=field)
        return data

    def stat(self, key: str) -> ObjectInfo | None:
        """What is known of an object, or None when there is none."""
        try:
            with self._asked("stat"):
                found = self._client.stat_object(self._bucket, key)
        except NotFound:
            return None
        return ObjectInfo(key, int(found.size or 0), found.etag or "")

    def delete(self, key: str) -> None:
        """Removes an object; one that is not there is no error."""
        with suppress(NotFound), self._asked("delete"):
            self._client.remove_object(self._bucket, key)

    def presign_get(self, key: str, *, lifetime_s: int = 900, at: datetime | None = None) -> str:
        """An address that reads the object without further credentials, for `lifetime_s` (1 s to 7 days) from `at`.

        It is for the gateway, which strips `public_url` and sets the server's own host, the one that was signed. The same key,
        life time and moment give the same address.
        """
        return self._public(self._presign("GET", key, lifetime_s, at))

    def presign_put(self, key: str, *, lifetime_s: int = 900, at: datetime | None = None) -> str:
        """An address that writes the object by PUT without further credentials; otherwise like `presign_get`."""
        return self._public(self._presign("PUT", key, lifetime_s, at))

    def is_up(self) -> bool:
        """Whether the server answers and the bucket is there."""
        try:
            return bool(self._client.bucket_exists(self._bucket))
        except (MinioException, urllib3.exceptions.HTTPError):
            return False

    @contextmanager
    def _asked(self, operation: str) -> Iterator[None]:
        """Around one operation, with all its attempts. What fails leaves as NotFound or Unavailable."""
        began = time.perf_counter()
        outcome = "unavailable"
        try:
            # Keys are left out: they name what somebody stored.
            with part(f"S3/{_S3_NAMES[operation]}", "CLIENT", self._told):
                yield
            outcome = "ok"
        except (MinioException, urllib3.exceptions.HTTPError) as failure:
            if _is_missing(failure):
                outcome = "missing"
                raise NotFound("OBJECT_MISSING", "the object is not in the object store") from failure
            raise _unavailable(failure) from failure
        except NotFound:
            outcome = "missing"
            raise
        finally:
            if self.on_end is not None:
                self.on_end(operation, outcome, time.perf_counter() - began)

    def _presign(self, method: str, key: str, lifetime_s: int, at: datetime | None) -> str:
        moment = (at or datetime.now(UTC)).astimezone(UTC)
        return str(self._client.get_presigned_url(method, self._bucket, key, expires=timedelta(seconds=lifetime_s), request_date=moment))

    def _public(self, address: str) -> str:
        parts = urlsplit(address)
        return f"{self._public_url}{parts.path}?{parts.query}"


def _is_missing(failure: Exception) -> bool:
    if isinstance(failure, S3Error):
        return failure.code in _GONE
    # Some servers send the error's XML under another content type, which the client refuses to read; the status still tells.
    if isinstance(failure, InvalidResponseError):
        return "404" in str(failure)
    return isinstance(failure, ServerError) and failure.status_code == 404


def _unavailable(failure: Exception) -> Unavailable:
    return Unavailable("OBJECT_STORE_UNAVAILABLE", "the object store is away or refuses; try again soon", retry_after=1)
