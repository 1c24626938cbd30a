"""The rules of accessibility that every page keeps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from playwright.sync_api import Page

from tests.support.mesh import HOUSE

AXE = HOUSE / "web" / "node_modules" / "axe-core" / "axe.min.js"
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


def violations(page: Page) -> list[str]:
    """What axe finds on the page as it is, one sentence each. Evaluated from outside, so the page's policy stays as it is."""
    page.evaluate(Path(AXE).read_text())
    page.wait_for_timeout(400)  # for colours that are on their way
    found: list[dict[str, Any]] = page.evaluate("rules => axe.run(document, {runOnly: rules}).then((result) => result.violations)", RULES)
    return [f"{one['id']}: {node['html'][:160]} {node['failureSummary']}" for one in found for node in one["nodes"]]
