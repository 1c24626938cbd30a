"""Manifests: read from YAML with the line of every fault."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from labelmesh.inference.v1 import manifests_pb2 as man
from labelmesh_client import SourceError, manifest_text, parse_manifest, read_manifest

DIGITS = """\
model: digits
input:
  kind: pixels
  width: 28
  height: 28
  color: GRAY
  scale: 1e-3
  mean: [0.1, 1]
  light_on_dark: true
classes:
  activation: ACTIVATION_SOFTMAX
labels: [0, 1, no, "3", 1e5]
batching: {max_batch_size: 32, max_wait: 0.005s}
"""


def test_a_manifest_is_read_as_a_person_means_it(tmp_path: Path) -> None:
    path = tmp_path / "labelmesh.yaml"
    path.write_text(DIGITS)
    found = read_manifest(path)
    assert (found.model, found.input.kind, found.input.width, found.input.color) == (
        "digits",
        man.INPUT_KIND_PIXELS,
        28,
        man.COLOR_MODE_GRAY,
    )
    assert (found.input.scale, list(found.input.mean), found.input.light_on_dark) == (0.001, [0.1, 1.0], True)
    assert (found.WhichOneof("output"), found.classes.activation) == ("classes", man.ACTIVATION_SOFTMAX)
    # Names stay as they stand there, whatever YAML takes them for.
    assert list(found.labels) == ["0", "1", "no", "3", "1e5"]
    assert (found.batching.max_batch_size, found.batching.max_wait.ToMilliseconds()) == (32, 5)


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("inpt: {}", "line 2: inpt: there is no such field; did you mean input?"),
        ("zzz: 1", "line 2: zzz: there is no such field; there are: model, display_name,"),
        ("model: other", "line 2: model: it stands here twice"),
        ("input: {kind: pixls}", "line 2: input.kind: 'pixls' is none of: pixels, encoded, tensor"),
        ("input: {kind: unspecified}", "line 2: input.kind: 'unspecified' is none of: pixels, encoded, tensor"),
        ("input: {width: 28.5}", "line 2: input.width: 28.5 is not a whole number that fits"),
        ("input: {width: 99999999999}", "line 2: input.width: 99999999999 is not a whole number that fits"),
        ("input: {width: [1]}", "line 2: input.width: here belongs one value"),
        ("input: {scale: much}", "line 2: input.scale: 'much' is not a number"),
        ("input: {scale: true}", "line 2: input.scale: 'true' is not a number"),
        ("input: {light_on_dark: 1}", "line 2: input.light_on_dark: '1' is not true or false"),
        ("input: {mean: [1, x]}", "line 2: input.mean[1]: 'x' is not a number"),
        ("input:\n  mean:\n  - 1\n  - {}", "line 5: input.mean[1]: here belongs one value"),
        ("input: 7", "line 2: input: here belong fields, each as `name: value`"),
        ("labels: 7", "line 2: labels: here belongs a list, e.g. [a, b]"),
        ("classes: {}\nboxes: {boxes: b}", "line 3: boxes: there is classes already; a manifest has one output"),
        ("batching: {max_wait: soon}", "line 2: batching.max_wait: 'soon' is not a length of time in seconds, e.g. 0.005s"),
    ],
)
def test_each_fault_is_said_with_its_line_and_field(line: str, fault: str) -> None:
    with pytest.raises(SourceError) as refused:
        parse_manifest(f"model: digits\n{line}\n", "labelmesh.yaml")
    head, said, *rest = str(refused.value).splitlines()
    assert head == "labelmesh.yaml is no manifest:"
    assert said.strip().startswith(fault)
    assert rest == []


def test_all_faults_are_said_at_once_and_a_flood_of_them_is_cut() -> None:
    with pytest.raises(SourceError) as refused:
        parse_manifest("inpt: {}\n" + "".join(f"x{number}: 1\n" for number in range(50)))
    lines = str(refused.value).splitlines()
    assert len(lines) == 22
    assert lines[-1].strip() == "and 31 more"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("a: [", "x is no YAML: line 1, column 5"),
        ("\t- a", "x is no YAML: line 1"),
        ("", "it is empty"),
        ("- a", "line 1: the file: here belong fields"),
        ("model: *nothing", "found undefined alias"),
        ("!!python/object/apply:os.system [id]", "line 1: the file: here belong fields"),
        ("[" * 1000, "is no"),
    ],
)
def test_what_is_no_yaml_or_no_mapping_is_refused(text: str, sentence: str) -> None:
    with pytest.raises(SourceError) as refused:
        parse_manifest(text, "x")
    assert sentence in str(refused.value)


def test_aliases_cannot_make_a_small_file_unfold_to_a_large_message() -> None:
    text = "model: m\nlabels: &a [" + ", ".join(["x" * 50] * 100) + "]\n"
    found = parse_manifest(text + "keypoints: {names: *a}\n")
    assert len(found.keypoints.names) == len(found.labels) == 100
    with pytest.raises(SourceError, match="stands here twice"):
        parse_manifest(text + "labels: *a\n" * 10)
    with pytest.raises(SourceError, match=r"labels\[1\]: here belongs one value"):
        parse_manifest("model: &m m\nlabels: [*m, &l [*m], *l]\n")


def test_files_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    for content, sentence in ((b"\xff\xfe", "is not text in UTF-8"), (b"#" * 5_000_000, "that is no manifest")):
        path = tmp_path / "labelmesh.yaml"
        path.write_bytes(content)
        with pytest.raises(SourceError, match=sentence):
            read_manifest(path)
    with pytest.raises(SourceError, match="No such file"):
        read_manifest(tmp_path / "none.yaml")


_TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=20)
_FLOAT = st.floats(allow_nan=False, allow_infinity=False)


@given(
    st.builds(
        man.ModelManifest,
        model=_TEXT,
        description=_TEXT,
        labels=st.lists(_TEXT, max_size=4),
        first_index=st.integers(0, 1000),
        threshold=_FLOAT,
        input=st.builds(
            man.InputSpec,
            kind=st.sampled_from([1, 2, 3]),
            width=st.integers(0, 8192),
            scale=_FLOAT,
            mean=st.lists(_FLOAT, max_size=3),
            keep_exif_rotation=st.booleans(),
        ),
        boxes=st.builds(man.BoxesOutput, boxes=_TEXT, order=st.sampled_from([1, 2, 3, 4]), pixels=st.booleans()),
    )
)
def test_a_manifest_that_is_written_is_read_back_the_same(manifest: man.ModelManifest) -> None:
    assert parse_manifest(manifest_text(manifest)) == manifest
