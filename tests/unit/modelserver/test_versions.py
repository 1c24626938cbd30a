"""Facts of TensorFlow Serving about version folders: sources/storage_path/file_system_storage_path_source.cc."""

from __future__ import annotations

from pathlib import Path

import pytest
from labelmesh_modelserver.statuses import Code, ServingError
from labelmesh_modelserver.versions import All, Latest, Policy, Specific, choose, index_versions, scan, version_number


@pytest.mark.parametrize(
    ("folder", "version"),
    [
        ("1", 1),
        ("0", 0),
        ("0042", 42),  # strings::safe_strto64 is base 10: leading zeros count for nothing
        (" 7 ", 7),  # and takes spaces around the number
        ("9223372036854775807", 2**63 - 1),
        ("9223372036854775808", None),
        ("-1", None),
        ("", None),
        ("1.0", None),
        ("1a", None),
        ("v1", None),
        (".incoming-1", None),
        ("1_000", None),
        ("٣", None),
        ("0x10", None),
        ("1e3", None),
    ],
)
def test_a_folder_is_a_version_only_if_its_name_is_a_number(folder: str, version: int | None) -> None:
    assert version_number(folder) == version


def test_of_two_folders_with_one_number_the_one_that_sorts_last_is_served() -> None:
    assert index_versions(["7", "007", "notes"]) == {7: "7"}


@pytest.mark.parametrize(
    ("policy", "chosen"),
    [
        (Latest(), [10]),
        (Latest(2), [9, 10]),
        (Latest(0), [10]),  # std::max(num_versions, 1U)
        (Latest(99), [1, 2, 9, 10]),
        (All(), [1, 2, 9, 10]),
        (Specific(frozenset({2, 9})), [2, 9]),
        (Specific(frozenset({2, 77})), [2]),
        (Specific(frozenset({77})), []),
    ],
)
def test_policies_choose_among_what_is_on_disk_by_number_not_by_name(policy: Policy, chosen: list[int]) -> None:
    on_disk = {number: str(number) for number in (1, 2, 9, 10)}
    assert sorted(choose(policy, on_disk)) == chosen


def test_files_and_foreign_folders_in_a_base_path_are_not_versions(tmp_path: Path) -> None:
    (tmp_path / "1").mkdir()
    (tmp_path / "0003").mkdir()
    (tmp_path / "2").write_text("a file")
    (tmp_path / ".incoming-9").mkdir()
    assert scan("m", str(tmp_path), All()) == {1: str(tmp_path / "1"), 3: str(tmp_path / "0003")}


def test_a_base_path_that_is_away_is_an_error_and_not_a_model_without_versions(tmp_path: Path) -> None:
    with pytest.raises(ServingError) as refused:
        scan("m", str(tmp_path / "gone"), All())
    assert refused.value.code is Code.INVALID_ARGUMENT
    assert refused.value.text.startswith(f"Could not find base path {tmp_path}/gone for servable m with error ")
