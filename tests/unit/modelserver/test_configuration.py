"""What TensorFlow Serving takes for a config and what it says to others: model_servers/server_core.cc."""

from __future__ import annotations

from pathlib import Path

import pytest
from labelmesh_modelserver.configuration import ModelConfig, models_of, read_config_file, single_model
from labelmesh_modelserver.statuses import Code, ServingError
from labelmesh_modelserver.versions import All, Latest, Policy, Specific


def _models(folder: Path, text: str) -> dict[str, ModelConfig] | None:
    file = folder / "models.config"
    file.write_text(text)
    found = models_of(read_config_file(str(file)))
    return None if found is None else dict(found)


def test_a_config_file_is_read_with_its_comments_policies_and_labels(tmp_path: Path) -> None:
    models = _models(
        tmp_path,
        """
        # Written by hand.
        model_config_list {
          config {
            name: 'digits' base_path: '/models/digits' model_platform: 'tensorflow'
            model_version_policy { specific { versions: 3 versions: 5 } }
            version_labels { key: 'stable' value: 3 }
          }
          config: { name: "boxes", base_path: "/models/boxes", model_platform: "tensorflow" }
        }
        """,
    )
    assert models == {
        "digits": ModelConfig("digits", "/models/digits", Specific(frozenset({3, 5})), {"stable": 3}),
        "boxes": ModelConfig("boxes", "/models/boxes", Latest(1), {}),
    }


@pytest.mark.parametrize(
    ("text", "policy"),
    [
        ("", Latest(1)),
        ("model_version_policy { latest {} }", Latest(1)),
        ("model_version_policy { latest { num_versions: 4 } }", Latest(4)),
        ("model_version_policy { all {} }", All()),
        ("model_version_policy { specific { versions: 1 versions: 1 } }", Specific(frozenset({1}))),
    ],
)
def test_the_policy_of_a_model_is_latest_unless_it_says_otherwise(tmp_path: Path, text: str, policy: Policy) -> None:
    models = _models(tmp_path, f'model_config_list {{ config {{ name: "m" base_path: "/m" model_platform: "tensorflow" {text} }} }}')
    assert models is not None and models["m"].policy == policy


@pytest.mark.parametrize(
    ("models", "code", "text"),
    [
        (
            2 * 'config { name: "m" base_path: "/m" model_platform: "tensorflow" }',
            Code.INVALID_ARGUMENT,
            "Illegal to list model m multiple times in config list",
        ),
        (
            'config { name: "m" base_path: "models/m" model_platform: "tensorflow" }',
            Code.INVALID_ARGUMENT,
            "Expected model m to have an absolute path or URI; got base_path()=models/m",
        ),
        (
            'config { name: "m" base_path: "/m" }',
            Code.INVALID_ARGUMENT,
            "Illegal setting neither ModelServerConfig::model_type (deprecated) nor ModelServerConfig::model_platform.",
        ),
        (
            'config { name: "m" base_path: "/m" model_platform: "tensorflow" model_type: TENSORFLOW }',
            Code.INVALID_ARGUMENT,
            "Illegal setting both ModelServerConfig::model_type (deprecated) and ModelServerConfig::model_platform.",
        ),
        (
            'config { name: "m" base_path: "/m" model_platform: "onnx" }',
            Code.INVALID_ARGUMENT,
            "Model m requests unsupported platform onnx",
        ),
    ],
)
def test_a_config_that_cannot_be_served_is_refused_in_tensorflow_servings_words(tmp_path: Path, models: str, code: Code, text: str) -> None:
    with pytest.raises(ServingError) as refused:
        _models(tmp_path, f"model_config_list {{ {models} }}")
    assert (refused.value.code, refused.value.text) == (code, text)


def test_an_empty_file_is_a_config_that_says_nothing_yet(tmp_path: Path) -> None:
    assert _models(tmp_path, "") is None
    assert _models(tmp_path, "model_config_list {}") == {}


def test_a_file_that_is_no_config_is_refused_with_the_place(tmp_path: Path) -> None:
    with pytest.raises(ServingError) as refused:
        _models(tmp_path, "model_config_list {\n  config { nmae: 'm' }\n}")
    assert refused.value.code is Code.INVALID_ARGUMENT
    assert refused.value.text.startswith(f"Invalid protobuf file: '{tmp_path}/models.config' (2:")


def test_a_config_file_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(ServingError) as refused:
        read_config_file(str(tmp_path / "none"))
    assert refused.value.code is Code.NOT_FOUND
    assert str(tmp_path / "none") in refused.value.text


def test_a_name_and_a_base_path_are_a_config_of_one_model() -> None:
    assert models_of(single_model("m", "/models/m")) == {"m": ModelConfig("m", "/models/m")}
