"""Files of the web page as routes."""

from __future__ import annotations

from pathlib import Path

import pytest
from labelmesh_gateway import pages


def files(root: Path, **names: str) -> Path:
    for name, content in names.items():
        path = root / name.replace("__", "/").replace("_dot_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return root


def test_an_index_answers_for_its_folder_too(tmp_path: Path) -> None:
    root = files(tmp_path, index_dot_html="a", docs__api__index_dot_html="b")
    served = {file.file.relative_to(root).as_posix(): set(file.urls) for file in pages.static_files(root, seen_as=root)}
    assert served == {
        "index.html": {"/", "/index.html"},
        "docs/api/index.html": {"/docs/api", "/docs/api/", "/docs/api/index.html"},
    }


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("assets/index-DiwrgTda.js", True),
        ("assets/inter.4f1b2a9c.woff2", True),
        ("assets/logo.svg", False),
        ("favicon-12345678.ico", False),
        ("index.html", False),
    ],
)
def test_only_hashed_assets_are_kept_for_good(tmp_path: Path, name: str, kept: bool) -> None:
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_text("x")
    (file,) = pages.static_files(tmp_path, seen_as=tmp_path)
    assert (file.headers["cache-control"] == pages.IMMUTABLE) is kept


def test_another_content_is_another_validator(tmp_path: Path) -> None:
    (first,) = pages.static_files(files(tmp_path, index_dot_html="a"), seen_as=tmp_path)
    (second,) = pages.static_files(files(tmp_path, index_dot_html="b"), seen_as=tmp_path)
    assert first.etag != second.etag
    assert first.etag.startswith('W/"')


def test_only_the_topmost_index_stands_for_the_pages_of_the_client(tmp_path: Path) -> None:
    root = files(tmp_path, index_dot_html="a", docs__index_dot_html="b")
    served = pages.static_files(root, seen_as=root, page_pattern="/x")
    assert {file.file.relative_to(root).as_posix(): file.pattern for file in served} == {"index.html": "/x", "docs/index.html": None}


@pytest.mark.parametrize("name", ["a b.js", "ü.js", 'a".js', "a%41.js"])
def test_names_that_would_need_escaping_are_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("x")
    with pytest.raises(ValueError, match="cannot be served"):
        pages.static_files(tmp_path, seen_as=tmp_path)


def test_a_file_that_is_too_large_is_refused(tmp_path: Path) -> None:
    with (tmp_path / "large.bin").open("wb") as file:
        file.truncate(pages.MAX_FILE_BYTES + 1)
    with pytest.raises(ValueError, match="at most"):
        pages.static_files(tmp_path, seen_as=tmp_path)


def test_only_the_page_itself_may_use_the_camera() -> None:
    allowed = pages.SECURITY_HEADERS["permissions-policy"].split(", ")
    assert {"camera=(self)", "microphone=()", "geolocation=()"} <= set(allowed)


def test_the_page_is_told_of_tracing_by_the_word_that_it_waits_for(tmp_path: Path) -> None:
    page = tmp_path / "index.html"
    page.write_text((Path(__file__).parents[3] / "web" / "index.html").read_text())
    pages.turn_tracing_on(page, 0.05)
    assert '<meta name="labelmesh-tracing" content="0.05" />' in page.read_text()
    pages.turn_tracing_on(tmp_path / "missing.html", 1)
    assert not (tmp_path / "missing.html").exists()


def test_a_page_without_that_word_stays_as_it_is(tmp_path: Path) -> None:
    page = tmp_path / "index.html"
    page.write_text('<meta name="other" content="off">')
    pages.turn_tracing_on(page, 1)
    assert page.read_text() == '<meta name="other" content="off">'
