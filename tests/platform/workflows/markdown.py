"""What a document of Markdown links to and can be linked by, the way GitHub shows it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

_FENCE = re.compile(r"^\s*(`{3,}|~{3,})\s*(\S*)")
_LINK = re.compile(r"!?\[(?:[^\[\]]|\[[^\]]*\](?:\([^)]*\))?)*\]\(<?([^)\s>]+)>?(?:\s+\"[^\"]*\")?\)")
_REFERENCE = re.compile(r"^\s*\[[^\]^]+\]:\s+(\S+)", re.MULTILINE)
_SOURCE = re.compile(r"<(?:img|a)\b[^>]*\b(?:src|href)=\"([^\"]+)\"")
_HEADING = re.compile(r"^#{1,6}\s+(.*?)\s*#*$")


@dataclass(frozen=True)
class Block:
    """A fenced block: what it is said to hold, and its lines."""

    language: str
    lines: tuple[str, ...]
    first_line: int


@dataclass(frozen=True)
class Document:
    prose: str
    """Without fenced blocks."""
    blocks: tuple[Block, ...]

    @classmethod
    def read(cls, text: str) -> Document:
        prose: list[str] = []
        blocks: list[Block] = []
        fence, language, lines, began = "", "", list[str](), 0
        for number, line in enumerate(text.splitlines(), 1):
            match = _FENCE.match(line)
            if not fence and match:
                fence, language, lines, began = match[1], match[2], [], number
            elif fence and match and match[1].startswith(fence) and not match[2]:
                blocks.append(Block(language, tuple(lines), began))
                fence = ""
            elif fence:
                lines.append(line)
            else:
                prose.append(line)
        if fence:
            raise ValueError(f"the block that begins in line {began} has no end")
        return cls("\n".join(prose), tuple(blocks))

    def links(self) -> Iterator[str]:
        """Where it points to: links, pictures, references."""
        text = re.sub(r"(`+)(?!`).*?(?<!`)\1(?!`)", lambda code: "`" * len(code[0]), self.prose)
        for pattern in (_LINK, _REFERENCE, _SOURCE):
            yield from pattern.findall(text)
        # A picture that is itself a link: the picture stands within the link's words.
        for inner in re.findall(r"\[(!\[[^\]]*\]\([^)]+\))\]", text):
            yield from _LINK.findall(inner)

    def anchors(self) -> set[str]:
        """What "#..." may say of it."""
        found: dict[str, int] = {}
        anchors = set(re.findall(r"<a\b[^>]*\b(?:id|name)=\"([^\"]+)\"", self.prose))
        for line in self.prose.splitlines():
            if match := _HEADING.match(line):
                name = slug(match[1])
                anchors.add(name if name not in found else f"{name}-{found[name]}")
                found[name] = found.get(name, 0) + 1
        return anchors


def slug(heading: str) -> str:
    """The anchor that GitHub makes of a heading: its words in small letters with "-" between them."""
    words = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", heading).replace("`", "").replace("*", "")
    return re.sub(r"[^\w\- ]", "", words.strip().lower()).replace(" ", "-")
