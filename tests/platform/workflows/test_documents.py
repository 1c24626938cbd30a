"""Documents lead where they say: every link, anchor and picture is there, every diagram can be read."""

from __future__ import annotations

import urllib.parse
from functools import cache
from pathlib import Path

import pytest

from tests.platform.workflows import mermaid
from tests.platform.workflows.markdown import Document, slug
from tests.platform.workflows.programs import HOUSE, files

DOCUMENTS = [path for path in files() if path.suffix == ".md"]
SAMPLE = """\
# A title: `code` & more

## Twice
## Twice

See [there](other.md#twice-1 "a title"), [![picture](a.png)](b.md) and `[not](this.md)`.

```python
[nor](that.md)
```
"""


@cache
def document(path: Path) -> Document:
    return Document.read(path.read_text("utf-8"))


def broken(path: Path) -> list[str]:
    """Links of a document that lead nowhere."""
    found = []
    for link in document(path).links():
        place, _, anchor = urllib.parse.unquote(link).partition("#")
        if "://" in link or link.startswith("mailto:"):
            continue
        target = (path.parent / place).resolve() if place else path
        if not target.exists() or not target.is_relative_to(HOUSE):
            found.append(f"{link}: there is nothing")
        elif anchor and target.suffix == ".md" and anchor not in document(target).anchors():
            found.append(f"{link}: there is no such heading")
    return found


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(HOUSE)))
def test_every_link_anchor_and_picture_is_there(path: Path) -> None:
    assert broken(path) == []


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(HOUSE)))
def test_every_diagram_can_be_read(path: Path) -> None:
    for block in document(path).blocks:
        if block.language == "mermaid":
            assert mermaid.faults(block.lines) == [], f"the diagram in line {block.first_line}"


def test_every_page_of_the_documents_is_found_from_the_first_one() -> None:
    start = HOUSE / "README.md"
    reached, waiting = {start}, [start]
    while waiting:
        path = waiting.pop()
        for link in document(path).links():
            target = (path.parent / urllib.parse.unquote(link).partition("#")[0]).resolve()
            targets = [target] if target.suffix == ".md" else [target / "README.md"] if target.is_dir() else []
            for found in targets:
                if found in DOCUMENTS and found not in reached:
                    reached.add(found)
                    waiting.append(found)
    assert [str(path.relative_to(HOUSE)) for path in DOCUMENTS if path.is_relative_to(HOUSE / "docs") and path not in reached] == []


def test_links_in_words_count_and_links_in_code_do_not() -> None:
    found = Document.read(SAMPLE)
    assert set(found.links()) == {"other.md#twice-1", "a.png", "b.md"}
    assert found.anchors() == {"a-title-code--more", "twice", "twice-1"}
    assert [block.language for block in found.blocks] == ["python"]
    assert slug("What `./mesh up` does, and why") == "what-mesh-up-does-and-why"
    with pytest.raises(ValueError, match="line 3 has no end"):
        Document.read("# A\n\n```\nopen")


def test_a_broken_diagram_is_noticed() -> None:
    good = ["flowchart LR", 'a["x (y)"] -- "says" --> b[("data")]', "b -. maybe .-> c & d", "subgraph s", "e --> f", "end"]
    assert mermaid.faults(good) == []
    for line in ('a["open --> b', "a[b --> c", "a -> b", "a --> --> b", "end"):
        assert mermaid.faults([*good, line]) != [], line
    assert mermaid.faults(["flow LR", "a --> b"]) != []
