"""Which passwords are refused, and why."""

from __future__ import annotations

import pytest
from labelmesh_auth.password_policy import check_password, normalized
from labelmesh_chassis.errors import InvalidArgument


def refusal(password: str, name: str = "grace") -> str:
    with pytest.raises(InvalidArgument) as raised:
        check_password(password, name=name, field="password")
    assert [violation.field for violation in raised.value.violations] == ["password"]
    return raised.value.reason


@pytest.mark.parametrize("password", ["violet-harbour-92", "ten chars!", "日本語のパスワードです", "x1" * 3 + "yz" * 125, "Tr0ub4dor&3x"])
def test_a_password_of_ten_to_256_characters_that_nobody_guesses_is_taken(password: str) -> None:
    check_password(password, name="grace", field="password")


def test_a_password_one_character_too_short_or_too_long_is_refused() -> None:
    assert refusal("abcxyz789") == "PASSWORD_LENGTH"
    assert refusal("abcdwxyz1" * 28 + "12345") == "PASSWORD_LENGTH"


@pytest.mark.parametrize(
    "password",
    [
        "passwordpassword",
        "Password2024!",
        "P@ssw0rd12345",
        "qwertyuiop",
        "QWERTYUIOP",
        "1234567890",
        "0987654321",
        "aaaaaaaaaaaa",
        "abababababab",
        "abcdefghijkl",
        "1q2w3e4r5t",
        "letmeinplease",
        "administrator",
        "iloveyou1234",
        "correcthorsebatterystaple",
        "monkeymonkey",
        "sunshine2026!!",
    ],
)
def test_a_common_password_is_refused_also_with_the_usual_decoration(password: str) -> None:
    assert refusal(password) == "PASSWORD_COMMON"


def test_a_password_with_the_accounts_name_in_it_is_refused_without_regard_to_case() -> None:
    assert refusal("my-GRACE-note") == "PASSWORD_CONTAINS_NAME"
    assert refusal("my-grace-note", "grace@example.org") == "PASSWORD_CONTAINS_NAME"
    check_password("al-is-a-short-name", name="al", field="password")


def test_the_same_password_in_two_encodings_is_the_same() -> None:
    assert normalized("caf\u00e9-terrace-9") == normalized("cafe\u0301-terrace-9")
