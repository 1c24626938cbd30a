"""Draws docs/images/trace.svg: a label as it was traced a moment ago, in a mesh that this starts, by a key pressed in a real Chromium.

python -m docs.trace_picture

The times are those of this run, on this machine.
"""

from __future__ import annotations

import tempfile
from html import escape
from pathlib import Path

from playwright.sync_api import sync_playwright

from tests.e2e.browser.conftest import FLAGS
from tests.e2e.browser.desk import Desk
from tests.e2e.browser.people import Office
from tests.run import chromium
from tests.support.collector import CollectedSpan, Collector
from tests.support.mesh import LocalMesh
from tests.support.traces import Trace, settled_ids

PICTURE = Path(__file__).parent / "images" / "trace.svg"
LABELS = 6
"""So many are given, and the last is drawn: statements are prepared and connections open by then, as they are for who labels."""
WANTED = (("web", "keydown label"), ("auth", "Check"), ("labeling", "SubmitAnnotation"))

ROW, NAMES, TIMES, MARGIN = 24, 400, 560, 16
HEAD = 64
STYLE = """
text { font: 13px ui-sans-serif, system-ui, sans-serif; fill: #1f2933 }
.title { font-weight: 600; font-size: 15px } .ms, .part { font-size: 11.5px; fill: #52606d }
.ground { fill: #ffffff } .line { stroke: #e4e7eb } .bar { rx: 3 }
.web { fill: #7b61ff } .gateway { fill: #f0883e } .auth { fill: #2f9e6e } .labeling { fill: #2680c2 } .sql { opacity: .55 }
@media (prefers-color-scheme: dark) {
  text { fill: #e4e7eb } .ms, .part { fill: #9aa5b1 } .ground { fill: #14181d } .line { stroke: #2b333c }
}
"""


def traced_label() -> Trace:
    """Labels some pictures and returns the last label's trace."""
    with tempfile.TemporaryDirectory(prefix="labelmesh-trace-") as home, Collector() as collector:
        told = {"LABELMESH_OTLP_ENDPOINT": collector.endpoint, "LABELMESH_OTLP_HTTP_ENDPOINT": collector.http_endpoint}
        mesh = LocalMesh(Path(home), **told)
        try:
            mesh.up("--no-demo", "--no-models")
            office = Office(mesh)
            with sync_playwright() as playwright:
                browser = playwright.chromium.launch(executable_path=chromium(), args=list(FLAGS))
                desk = Desk(browser.new_page(), mesh.address)
                desk.label_in(office.account(), office.project(3 * LABELS))
                for number in range(LABELS):
                    desk.page.wait_for_load_state("networkidle")
                    desk.press(str(number))
                    desk.settle()
                desk.page.goto("about:blank")
                spans = collector.wait_for(lambda spans: len(settled_ids(spans, *WANTED)) == LABELS, timeout_s=30)
                browser.close()
        finally:
            mesh.end()
    traces = [Trace.of(spans, trace_id) for trace_id in settled_ids(spans, *WANTED)]
    return max(traces, key=lambda trace: trace.root.began_ns)


def name_of(span: CollectedSpan) -> str:
    if span.name == "keydown label":
        return "a key is pressed on the labeling page"
    return (
        span.name.replace("async ", "").replace(" egress", "").replace("envoy.service.auth.v3.", "").rpartition("v1.")[2].replace(".", "/")
    )


def drawn(trace: Trace) -> str:
    """The picture: a row for each span, under the one it belongs to, as long as it took."""
    rows = list(trace.walk())
    began = min(span.began_ns for _, span in rows)
    lasted = max(span.ended_ns for _, span in rows) - began
    width, height = NAMES + TIMES + 2 * MARGIN + 60, HEAD + ROW * len(rows) + MARGIN
    ms, services = lasted / 1e6, len({span.service for _, span in rows})
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img" '
        f'aria-label="A label from the key press to the SQL statements: {len(rows)} spans in {ms:.1f} ms">',
        f"<style>{STYLE}</style>",
        f'<rect class="ground" width="{width}" height="{height}"/>',
        f'<text class="title" x="{MARGIN}" y="26">One label: {len(rows)} spans of {services} parts in {ms:.1f} ms</text>',
    ]
    left = MARGIN + NAMES
    step = next(step for step in (1, 2, 5, 10, 20, 50, 100, 1000) if ms / step <= 8)
    for tick in range(0, int(ms) + 1, step):
        x = left + TIMES * tick / ms
        parts.append(
            f'<path class="line" d="M{x:.1f} {HEAD - 8}V{height - MARGIN}"/><text class="ms" x="{x:.1f}" y="{HEAD - 14}">{tick} ms</text>'
        )
    for number, (depth, span) in enumerate(rows):
        y = HEAD + ROW * number
        x = left + TIMES * (span.began_ns - began) / lasted
        length = max(2.0, TIMES * (span.ended_ns - span.began_ns) / lasted)
        sql = " sql" if "db.system.name" in span.attributes else ""
        text = str(span.attributes.get("db.query.text", span.name))
        took = f"{(span.ended_ns - span.began_ns) / 1e6:.1f} ms"
        who = escape(span.service)
        parts.append(
            f"<g><title>{escape(f'{span.service}, {span.kind}, {took}: {text[:300]}')}</title>"
            f'<text x="{MARGIN + 14 * depth}" y="{y + 16}">{escape(name_of(span))} <tspan class="part">{who}</tspan></text>'
            f'<rect class="bar {who}{sql}" x="{x:.1f}" y="{y + 5}" width="{length:.1f}" height="{ROW - 10}"/>'
            f'<text class="ms" x="{x + length + 5:.1f}" y="{y + 16}">{took}</text></g>'
        )
    return "\n".join([*parts, "</svg>", ""])


if __name__ == "__main__":
    PICTURE.write_text(drawn(traced_label()))
    print(PICTURE)
