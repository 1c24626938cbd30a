"""A page with previews of a pipeline: the pictures, the labels drawn over them, and what was drawn for each."""

from __future__ import annotations

import base64
import html
import json
from collections.abc import Iterator, Mapping
from typing import Any

from labelmesh_client.augmentations import Preview, Previews
from labelmesh_client.pipelines import Pipeline

#: Of a value that is shown.
_LONGEST = 60
_STYLE = """
:root { color-scheme: light dark; font: 15px/1.45 system-ui, sans-serif }
body { margin: 1.5rem }
main { display: grid; gap: 1rem; grid-template-columns: repeat(auto-fill, minmax(17rem, 1fr)) }
figure { margin: 0; border: 1px solid color-mix(in srgb, currentColor 25%, transparent); border-radius: .5rem; overflow: hidden }
.picture { position: relative; line-height: 0 }
img { width: 100%; height: auto }
svg { position: absolute; inset: 0; width: 100%; height: 100% }
svg * { vector-effect: non-scaling-stroke; fill: none; stroke: #ff3d7f; stroke-width: 2 }
svg .point { fill: #ff3d7f }
figcaption { padding: .5rem .75rem }
ul { margin: .25rem 0 0; padding-left: 1.1rem }
code { font-size: .85rem; overflow-wrap: anywhere }
pre { overflow: auto }
"""


def write_sheet(name: str, seed: int, pipeline: Pipeline, shown: Previews) -> bytes:
    """One HTML file with everything in it; nothing is fetched from anywhere."""
    title = html.escape(f"{name}, seed {seed}")
    figures = "".join([_figure("The picture itself", shown.original), *(_figure(f"Copy {one.copy}", one) for one in shown.previews)])
    source = html.escape(json.dumps(pipeline.to_json(), indent=2, ensure_ascii=False))
    page = (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{title}</title>'
        f"<style>{_STYLE}</style><h1>{title}</h1><main>{figures}</main><h2>Pipeline</h2><pre><code>{source}</code></pre></html>\n"
    )
    return page.encode("utf-8", "backslashreplace")


def _figure(title: str, one: Preview) -> str:
    picture = f"data:{html.escape(one.media_type)};base64,{base64.b64encode(one.image).decode('ascii')}"
    steps = "".join(
        f"<li>{html.escape(step.transform)} <code>{html.escape(drawn(step.parameters))}</code></li>" for step in one.recipe.steps
    )
    return (
        f'<figure><div class="picture"><img src="{picture}" width="{one.width}" height="{one.height}" alt="{html.escape(title)}">'
        f'<svg viewBox="0 0 {one.full_width} {one.full_height}" preserveAspectRatio="none">{"".join(_shapes(one))}</svg></div>'
        f"<figcaption><b>{html.escape(title)}</b> {one.full_width} x {one.full_height}<ul>{steps}</ul></figcaption></figure>"
    )


def drawn(parameters: Mapping[str, Any]) -> str:
    """What was drawn, for people: `angle 12.3, expand false`."""
    return ", ".join(f"{name} {_value(value)}" for name, value in sorted(parameters.items()))


def _value(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list):
        value = f"[{', '.join(map(_value, value))}]"
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."


def _shapes(one: Preview) -> Iterator[str]:
    for box in one.labels.boxes:
        turn = f' transform="rotate({box.rotation:g} {box.x + box.width / 2:g} {box.y + box.height / 2:g})"' if box.rotation else ""
        place = f'x="{box.x:g}" y="{box.y:g}" width="{box.width:g}" height="{box.height:g}"'
        yield f"<rect {place}{turn}><title>{html.escape(box.label)}</title></rect>"
    for polygon in one.labels.polygons:
        for ring in polygon.rings:
            yield f'<polygon points="{" ".join(f"{x:g},{y:g}" for x, y in ring)}"/>'
    radius = max(one.full_width, one.full_height) / 150
    for point in one.labels.keypoints:
        if point.visibility in ("visible", "hidden"):
            place = f'cx="{point.x:g}" cy="{point.y:g}" r="{radius:g}"'
            yield f'<circle class="point" {place}><title>{html.escape(point.label)}</title></circle>'
