"""The web page and the contract's page as the edge serves them: every file has a route of its own, a type and a validator."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

CONTENT_TYPES = {
    "html": "text/html; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "mjs": "text/javascript; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "json": "application/json",
    "map": "application/json",
    "webmanifest": "application/manifest+json",
    "svg": "image/svg+xml",
    "png": "image/png",
    "jpg": "image/jpeg",
    "webp": "image/webp",
    "ico": "image/x-icon",
    "woff2": "font/woff2",
    "wasm": "application/wasm",
    "txt": "text/plain; charset=utf-8",
}

SECURITY_HEADERS = {
    "content-security-policy": (
        "default-src 'self'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; font-src 'self'; "
        "object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(self), geolocation=(), microphone=(), payment=(), usb=()",
}

MAX_FILE_BYTES = 16 * 2**20
"""Files are kept in Envoy's memory; one larger than this does not belong among them."""
MAX_FILES = 2000

IMMUTABLE = "public, max-age=31536000, immutable"
REVALIDATED = "no-cache"

_HASHED = re.compile(r"[-.][A-Za-z0-9_-]{8,}\.[a-z0-9]+$")
_TRACING = re.compile(r'(<meta\s+name="labelmesh-tracing"\s+content=")off(")')
_SERVABLE = re.compile(r"^[A-Za-z0-9._/-]+$")


@dataclass(frozen=True)
class StaticFile:
    """A file that anybody may GET. `urls` are exact paths; `pattern`, where set, is a regular expression for further ones."""

    file: Path
    """Where Envoy finds it."""
    urls: tuple[str, ...]
    etag: str
    headers: Mapping[str, str] = field(hash=False)
    pattern: str | None = None


def turn_tracing_on(page: Path, ratio: float) -> None:
    """Tells the page at `page` to make spans of `ratio` of its calls. A page that asks for no such word is left as it is."""
    if page.is_file():
        page.write_text(_TRACING.sub(rf"\g<1>{ratio:g}\g<2>", page.read_text(encoding="utf-8"), count=1), encoding="utf-8")


def static_files(root: Path, *, seen_as: Path, under: str = "/", page_pattern: str | None = None) -> tuple[StaticFile, ...]:
    """The files below `root` as routes below the path `under`; empty when there is no such folder.

    `seen_as` is the folder as Envoy sees it. An index.html answers for its folder too, and the topmost one also for every path that
    `page_pattern` matches (the pages that the browser client makes itself). Files under assets/ whose name carries a hash may be kept for
    good, all others are asked for again. Raises ValueError for too many, too large or oddly named files.
    """
    paths = sorted(path for path in root.rglob("*") if path.is_file()) if root.is_dir() else []
    if len(paths) > MAX_FILES:
        raise ValueError(f"{root} holds {len(paths)} files; at most {MAX_FILES} are served")
    return tuple(_static_file(path, root, seen_as, under, page_pattern) for path in paths)


def _static_file(path: Path, root: Path, seen_as: Path, under: str, page_pattern: str | None) -> StaticFile:
    name = path.relative_to(root).as_posix()
    if not _SERVABLE.match(name):
        raise ValueError(f"{name!r} under {root} cannot be served: letters, digits, dot, dash and underscore only")
    data = path.read_bytes()
    if len(data) > MAX_FILE_BYTES:
        raise ValueError(f"{name} has {len(data):,} bytes; at most {MAX_FILE_BYTES:,} are served")
    kept = name.startswith("assets/") and _HASHED.search(name) is not None
    return StaticFile(
        file=seen_as / name,
        urls=tuple(_urls(under + name)),
        # Weak: the bytes on the wire differ with the compression that a browser takes.
        etag=f'W/"{hashlib.sha256(data).hexdigest()[:24]}"',
        headers={
            **SECURITY_HEADERS,
            "content-type": CONTENT_TYPES.get(path.suffix.lstrip(".").lower(), "application/octet-stream"),
            "cache-control": IMMUTABLE if kept else REVALIDATED,
        },
        pattern=page_pattern if name == "index.html" else None,
    )


def _urls(url: str) -> Iterator[str]:
    yield url
    if url.endswith("/index.html"):
        folder = url.removesuffix("index.html")
        yield folder
        if folder != "/":
            yield folder.rstrip("/")
