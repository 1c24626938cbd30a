"""Frozen graphs of TensorFlow 1 become models that answer as the graphs do."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from labelmesh.inference.v1 import manifests_pb2
from labelmesh_client import ConfigurationError, SourceError
from labelmesh_client.command.terminal import Terminal
from labelmesh_client.manifests import read_manifest
from labelmesh_training.frozen_command import convert, import_frozen_graph
from labelmesh_training.manifests import MEGADETECTOR_LABELS
from labelmesh_training.tensorflow import tf
from labelmesh_training.version_folder import WARM_UP, ask
from numpy.typing import NDArray
from PIL import Image
from sklearn.datasets import load_sample_images
from tensorflow_serving.apis import prediction_log_pb2

from tests.integration.training.graphs import run_detector, write_detector


def photograph(seed: int, width: int, height: int) -> NDArray[np.uint8]:
    """Something with large and small shapes and some noise, as photographs have."""
    rng = np.random.default_rng(seed)
    layers = [
        Image.fromarray(rng.integers(0, 256, (size, size, 3), dtype=np.uint8)).resize((width, height), Image.Resampling.BICUBIC)
        for size in (4, 16, 64)
    ]
    mixed = sum(share * np.asarray(layer, dtype=np.float32) for share, layer in zip((0.6, 0.25, 0.15), layers, strict=True))
    return np.clip(mixed + rng.normal(0, 3, (height, width, 3)), 0, 255).astype(np.uint8)


def encoded(pixels: NDArray[np.uint8], form: str = "JPEG") -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, format=form, **({"quality": 85} if form == "JPEG" else {}))
    return file.getvalue()


def seen_by_pillow(content: bytes) -> NDArray[np.uint8]:
    with Image.open(io.BytesIO(content)) as image:
        return np.asarray(image.convert("RGB"))


def converted(tmp_path: Path, **options: Any) -> tuple[Path, Path]:
    """A graph and the model's folder that was made of it."""
    graph, folder = tmp_path / "graph.pb", tmp_path / "detector"
    write_detector(graph, **options)
    convert(graph, folder, "detector", MEGADETECTOR_LABELS)
    return graph, folder


def assert_same(found: dict[str, NDArray[np.float32]], wanted: dict[str, NDArray[np.float32]]) -> None:
    assert found.keys() == wanted.keys()
    for name, value in wanted.items():
        assert found[name].shape == value.shape, name
        np.testing.assert_allclose(found[name], value, atol=1e-6, err_msg=name)


def test_pixels_get_the_answers_of_the_graph(tmp_path: Path) -> None:
    graph, folder = converted(tmp_path)
    pixels = np.stack([photograph(seed, 80, 60) for seed in range(3)])
    wanted = run_detector(graph, pixels)
    assert len({tuple(boxes.ravel()) for boxes in wanted["detection_boxes"]}) == 3
    assert_same(ask(folder, "serving_default", {"images": pixels}), wanted)


def test_files_of_several_sizes_get_the_answers_of_the_graph_for_their_pixels(tmp_path: Path) -> None:
    graph, folder = converted(tmp_path)
    files = [encoded(photograph(1, 96, 64)), encoded(photograph(2, 50, 70)), encoded(photograph(3, 41, 33), "PNG")]
    found = ask(folder, "serving_jpeg", {"images": files})
    for place, content in enumerate(files):
        wanted = run_detector(graph, seen_by_pillow(content)[np.newaxis])
        assert_same({name: value[place : place + 1] for name, value in found.items()}, wanted)


def test_a_graph_for_one_picture_takes_several_files(tmp_path: Path) -> None:
    graph, folder = converted(tmp_path, batch=1, counted=False)
    files = [encoded(photograph(seed, 64, 64), "PNG") for seed in range(4)]
    found = ask(folder, "serving_jpeg", {"images": files})
    assert "num_detections" not in found
    assert found["detection_boxes"].shape == (4, 5, 4)
    assert_same({name: value[3:] for name, value in found.items()}, run_detector(graph, seen_by_pillow(files[3])[np.newaxis]))


def test_the_manifest_says_how_the_boxes_are_meant(tmp_path: Path) -> None:
    _, folder = converted(tmp_path)
    manifest = read_manifest(folder / "assets.extra" / "labelmesh.yaml")
    assert (manifest.model, manifest.signature, manifest.input.kind) == ("detector", "serving_jpeg", manifests_pb2.INPUT_KIND_ENCODED)
    assert (list(manifest.labels), manifest.first_index) == (["animal", "person", "vehicle"], 1)
    assert (manifest.boxes.order, manifest.boxes.pixels, manifest.boxes.count) == (manifests_pb2.BOX_ORDER_YXYX, False, "num_detections")


def test_the_warm_up_calls_are_those_of_the_model_server(tmp_path: Path) -> None:
    _, folder = converted(tmp_path)
    logs = [prediction_log_pb2.PredictionLog.FromString(record.numpy()) for record in tf.data.TFRecordDataset(str(folder / WARM_UP))]
    requests = [log.predict_log.request for log in logs]
    assert [(one.model_spec.name, one.model_spec.signature_name) for one in requests] == [
        ("detector", "serving_jpeg"),
        ("detector", "serving_default"),
    ]
    for request in requests:
        ask(folder, request.model_spec.signature_name, {"images": tf.make_ndarray(request.inputs["images"])})


def test_a_photograph_as_a_file_is_about_a_tenth_of_its_pixels_or_less() -> None:
    ratios = [pixels.nbytes / len(encoded(pixels)) for pixels in load_sample_images().images]
    assert min(ratios) >= 9 and max(ratios) >= 20, ratios


def test_a_graph_that_is_no_detector_is_refused_with_what_it_has(tmp_path: Path) -> None:
    graph = tmp_path / "other.pb"
    write_detector(graph, outputs=False)
    with pytest.raises(SourceError) as refused:
        convert(graph, tmp_path / "model", "other", MEGADETECTOR_LABELS)
    problem = str(refused.value)
    assert "it has no detection_boxes:0, detection_scores:0, detection_classes:0" in problem
    assert "It takes image_tensor:0 and gives features:0." in problem
    assert list(tmp_path.iterdir()) == [graph]


def test_what_is_no_graph_is_refused(tmp_path: Path) -> None:
    for name, content, problem in (
        ("noise.pb", b"\x00\xffnoise" * 50, "is no frozen graph"),
        ("empty.pb", b"", "is no frozen graph"),
        ("saved_model.pb", b"", "is a SavedModel already"),
    ):
        path = tmp_path / name
        path.write_bytes(content)
        with pytest.raises(SourceError, match=problem):
            convert(path, tmp_path / "model", "other", MEGADETECTOR_LABELS)
    with pytest.raises(SourceError, match="cannot be read"):
        convert(tmp_path / "missing.pb", tmp_path / "model", "other", MEGADETECTOR_LABELS)


def test_the_command_writes_what_can_be_added_and_never_over_something(tmp_path: Path) -> None:
    import argparse

    graph, out = tmp_path / "graph.pb", tmp_path / "out" / "cameras"
    write_detector(graph)
    (tmp_path / "labels").write_text("deer\nfox\n\n", encoding="utf-8")
    arguments = argparse.Namespace(graph=graph, name="cameras", labels=tmp_path / "labels", out=out)
    terminal = Terminal({}, io.StringIO(), io.StringIO(), io.StringIO())
    assert import_frozen_graph(arguments, terminal) == 0
    assert list(read_manifest(out / "assets.extra" / "labelmesh.yaml").labels) == ["deer", "fox"]
    assert [path.name for path in out.parent.iterdir()] == ["cameras"]
    with pytest.raises(ConfigurationError, match="is there already"):
        import_frozen_graph(arguments, terminal)
    with pytest.raises(ConfigurationError, match="no name of a model"):
        import_frozen_graph(argparse.Namespace(**{**vars(arguments), "name": "Mega Detector"}), terminal)
