"""The words and brackets of a Mermaid diagram; not its layout."""

from __future__ import annotations

import re
from collections.abc import Sequence

_KINDS = re.compile(
    r"^(?:flowchart|graph)\s+(?:TB|TD|BT|LR|RL)$|^(?:sequenceDiagram|stateDiagram-v2|classDiagram|erDiagram|gantt|timeline|pie|mindmap)\b"
)
_PAIRS = {")": "(", "]": "[", "}": "{"}
_ID = r"[A-Za-z_][\w.-]*"
_SHAPE = r"(?:\(\[.*?\]\)|\[\(.*?\)\]|\[\[.*?\]\]|\(\(.*?\)\)|\{\{.*?\}\}|\[.*?\]|\(.*?\)|\{.*?\}|>.*?\])"
_NODE = rf"{_ID}(?:{_SHAPE})?(?::::{_ID})?"
_NODES = rf"{_NODE}(?:\s*&\s*{_NODE})*"
_LINK = r"(?:<?(?:-->|---|-\.->|-\.-|==>|===|~~~|--x|--o)(?:\|[^|]*\|)?|--\s[^-]*?\s-->|-\.\s[^.]*?\s\.->|==\s[^=]*?\s==>)"
_STATEMENT = re.compile(rf"^{_NODES}(?:\s*{_LINK}\s*{_NODES})*;?$")
_OTHER = re.compile(r"^(?:direction|classDef|class|style|linkStyle|click)\s+\S")


def faults(lines: Sequence[str]) -> list[str]:
    """What is wrong with a diagram, line by line; flowcharts are read statement by statement."""
    said = [(number, line.strip()) for number, line in enumerate(lines, 1) if line.strip() and not line.strip().startswith("%%")]
    if not said or not _KINDS.match(said[0][1]):
        return ["it does not begin with a kind of diagram"]
    found: list[str] = []
    depth = 0
    flowchart = said[0][1].startswith(("flowchart", "graph"))
    for number, line in said[1:]:
        if fault := _unbalanced(line):
            found.append(f"line {number}: {fault}")
        elif flowchart:
            # What stands in quotes may be anything.
            bare = re.sub(r'"[^"]*"', "quoted", line)
            if re.match(r"^subgraph\b", bare):
                depth += 1
            elif bare == "end":
                depth -= 1
            elif not (_STATEMENT.match(bare) or _OTHER.match(bare)):
                found.append(f"line {number}: neither nodes nor a link: {line}")
    if depth != 0:
        found.append("subgraph and end do not go together")
    return found


def _unbalanced(line: str) -> str | None:
    if line.count('"') % 2:
        return "a quote is not closed"
    opened: list[str] = []
    for character in re.sub(r'"[^"]*"', "", re.sub(r"<?-\.*-*>|--[ox]\b", "", line)):
        if character in _PAIRS.values():
            opened.append(character)
        elif character in _PAIRS and (not opened or opened.pop() != _PAIRS[character]):
            return f"{character} closes nothing"
    return f"{opened[-1]} is not closed" if opened else None
