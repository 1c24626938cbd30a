"""What docs/tracing.md says can be done as it says."""

from __future__ import annotations

import os
from pathlib import Path
from xml.etree import ElementTree

import pytest
import yaml
from labelmesh_gateway.rendering import MAX_EXPORTS_PER_SECOND, MAX_SPANS_PER_EXPORT
from labelmesh_local.parts import SERVICES

from docs.trace_picture import PICTURE, drawn
from tests.platform.workflows.markdown import Document
from tests.platform.workflows.programs import HOUSE, run
from tests.support.collector import CollectedSpan
from tests.support.traces import Trace

PAGE = Document.read((HOUSE / "docs" / "tracing.md").read_text())
SVG = "{http://www.w3.org/2000/svg}"


def test_the_overlay_brings_a_collector_to_every_service_and_to_the_gateway(tmp_path: Path) -> None:
    (overlay,) = [block for block in PAGE.blocks if block.language == "yaml"]
    # kustomize takes relative paths alone.
    place = os.path.relpath(HOUSE / "k8s" / "overlays" / "prod", tmp_path.resolve())
    (tmp_path / "kustomization.yaml").write_text("\n".join(overlay.lines).replace("../prod", place))
    built = run("kubectl", "kustomize", tmp_path)
    assert built.returncode == 0, built.stdout
    objects = list(yaml.safe_load_all(built.stdout))
    settings = {one["metadata"]["name"]: one["data"] for one in objects if one["kind"] == "ConfigMap"}
    for deployment in (one for one in objects if one["kind"] == "Deployment"):
        name, pod = deployment["metadata"]["name"], deployment["spec"]["template"]["spec"]
        told: dict[str, str] = {}
        for container in (*pod.get("initContainers", ()), *pod["containers"]):
            for source in container.get("envFrom", ()):
                told |= settings[source["configMapRef"]["name"]]
        if name in SERVICES:
            assert (told["LABELMESH_OTLP_ENDPOINT"], told["LABELMESH_TRACE_RATIO"]) == ("collector:4317", "0.05"), name
        elif name == "gateway":
            assert (told["LABELMESH_GATEWAY_OTLP"], told["LABELMESH_GATEWAY_OTLP_HTTP"]) == ("collector:4317", "collector:4318")


def test_the_bound_of_the_edge_is_the_one_that_is_told() -> None:
    assert f"no more than {MAX_SPANS_PER_EXPORT * MAX_EXPORTS_PER_SECOND:,} spans" in PAGE.prose


def test_the_picture_is_what_the_program_draws_of_a_whole_trace() -> None:
    texts = ["".join(text.itertext()) for text in ElementTree.parse(PICTURE).getroot().iter(f"{SVG}text")]
    for words in (
        "a key is pressed on the labeling page web",
        "SubmitAnnotation gateway",
        "Check auth",
        "UPDATE sessions auth",
        "SubmitAnnotation labeling",
    ):
        assert any(words in text for text in texts), words


def test_a_picture_has_a_bar_for_each_span_as_long_as_it_took_and_says_what_is_written() -> None:
    root = CollectedSpan("t", "a", "", "keydown label", "web", "internal", began_ns=0, ended_ns=8_000_000)
    call = CollectedSpan("t", "b", "a", "labelmesh.x.v1.S/M", "gateway", "server", began_ns=2_000_000, ended_ns=6_000_000)
    sql = CollectedSpan(
        "t", "c", "b", "SELECT <&>", "auth", "client", {"db.system.name": "postgresql"}, began_ns=3_000_000, ended_ns=4_000_000
    )
    picture = ElementTree.fromstring(drawn(Trace.of([sql, call, root], "t")))
    bars = [bar for bar in picture.iter(f"{SVG}rect") if "bar" in str(bar.get("class"))]
    lengths = [float(str(bar.get("width"))) for bar in bars]
    assert [bar.get("class") for bar in bars] == ["bar web", "bar gateway", "bar auth sql"]
    assert lengths[0] == pytest.approx(2 * lengths[1]) == pytest.approx(8 * lengths[2])
    assert any("SELECT <&>" in "".join(text.itertext()) for text in picture.iter(f"{SVG}text"))
    with pytest.raises(ValueError, match="not one tree"):
        Trace.of([root, sql], "t")
