"""Fetching files over HTTP with limits on size and time."""

from __future__ import annotations

import http.client
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from urllib.parse import urlsplit

from labelmesh_client.errors import DownloadError

_CHUNK_BYTES = 64 * 1024
#: Of one step (connecting, one read); the whole has its own deadline.
_STEP_TIMEOUT_S = 15.0


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: object) -> None:
        return None


def fetch(
    url: str,
    *,
    max_bytes: int,
    deadline_s: float = 60.0,
    follow_redirects: bool = False,
    use_proxy: bool = True,
    tls: ssl.SSLContext | None = None,
) -> bytes:
    """The body at an http(s) URL.

    Raises DownloadError when the server refuses, cannot be reached, sends more than `max_bytes`, takes longer than `deadline_s`, or breaks
    off before the length it announced. Redirects are refused unless `follow_redirects` (then ten at most, http and https only).
    """
    return b"".join(_chunks(url, max_bytes, deadline_s, follow_redirects, use_proxy, tls))


def _chunks(url: str, max_bytes: int, deadline_s: float, redirects: bool, use_proxy: bool, tls: ssl.SSLContext | None) -> Iterator[bytes]:
    parts = urlsplit(url)
    where = f"{parts.scheme}://{parts.netloc}{parts.path}"  # without the query: a presigned URL is a secret for a while
    if parts.scheme not in ("http", "https"):
        raise DownloadError(f"{where} is not an http or https address.")
    handlers: list[urllib.request.BaseHandler] = [urllib.request.HTTPSHandler(context=tls or ssl.create_default_context())]
    if not redirects:
        handlers.append(_NoRedirects())
    if not use_proxy:
        handlers.append(urllib.request.ProxyHandler({}))
    give_up = time.monotonic() + deadline_s
    try:
        with urllib.request.build_opener(*handlers).open(url, timeout=min(_STEP_TIMEOUT_S, deadline_s)) as reply:
            announced = reply.headers.get("Content-Length")
            if announced is not None and announced.isdigit() and int(announced) > max_bytes:
                raise DownloadError(f"{where} has {int(announced):,} bytes; at most {max_bytes:,} are taken.")
            received = 0
            while chunk := reply.read1(_CHUNK_BYTES):
                received += len(chunk)
                if received > max_bytes:
                    raise DownloadError(f"{where} has more than the {max_bytes:,} bytes that are taken.")
                if time.monotonic() > give_up:
                    raise DownloadError(f"{where} took longer than {deadline_s:g} s.")
                yield chunk
            if announced is not None and announced.isdigit() and received < int(announced):
                raise DownloadError(f"{where} broke off after {received:,} of {int(announced):,} bytes.")
    except urllib.error.HTTPError as error:
        error.close()
        raise DownloadError(f"{where} answered {error.code} {error.reason}.", reason=f"HTTP_{error.code}") from None
    except urllib.error.URLError as error:
        cause = error.reason.strerror if isinstance(error.reason, OSError) and error.reason.strerror else error.reason
        raise DownloadError(f"{where} cannot be reached: {cause}.", reason="UNREACHABLE") from None
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise DownloadError(f"{where} could not be fetched: {error}.", reason="UNREACHABLE") from None
