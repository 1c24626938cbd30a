"""Which passwords an account may have: by length and a list of known bad ones, without rules about kinds of characters.

Source: NIST SP 800-63B, section 5.1.1.2.
"""

from __future__ import annotations

import functools
import importlib.resources
import unicodedata

from labelmesh_chassis.errors import InvalidArgument

MIN_LENGTH = 10
MAX_LENGTH = 256
_MIN_DISTINCT = 4
_SEQUENCES = ("01234567890123456789", "abcdefghijklmnopqrstuvwxyz", "qwertyuiopasdfghjklzxcvbnm", "qwertzuiopasdfghjklyxcvbnm")
_SWAPS = str.maketrans("013457@$!", "oieastasi")


def normalized(password: str) -> str:
    """The form that is hashed: NFKC, so that the same password typed on two keyboards is the same."""
    return unicodedata.normalize("NFKC", password)


def check_password(password: str, *, name: str, field: str) -> None:
    """Raises InvalidArgument on `field` unless the password has 10 to 256 characters, is not a common one and does not contain `name`."""
    text = normalized(password)
    if not MIN_LENGTH <= len(text) <= MAX_LENGTH:
        raise InvalidArgument("PASSWORD_LENGTH", f"a password has {MIN_LENGTH} to {MAX_LENGTH} characters", field=field)
    folded = text.casefold()
    if _is_common(folded):
        raise InvalidArgument("PASSWORD_COMMON", "this password is among the first that an attacker tries", field=field)
    for part in {name.casefold(), name.casefold().partition("@")[0]}:
        if len(part) >= 3 and part in folded:
            raise InvalidArgument("PASSWORD_CONTAINS_NAME", "a password must not contain the account's name", field=field)


def _is_common(folded: str) -> bool:
    if len(set(folded)) < _MIN_DISTINCT or any(folded in sequence or folded in sequence[::-1] for sequence in _SEQUENCES):
        return True
    # "Passw0rd2024!" is "password" with what everybody puts behind it.
    swapped = folded.translate(_SWAPS)
    stems = {folded, swapped, folded.rstrip("0123456789!.?*#-_ "), folded.rstrip("0123456789!.?*#-_ ").translate(_SWAPS)}
    halves = {stem[: len(stem) // 2] for stem in stems if len(stem) % 2 == 0 and stem[: len(stem) // 2] * 2 == stem}
    return not (stems | halves).isdisjoint(_common())


@functools.cache
def _common() -> frozenset[str]:
    lines = importlib.resources.files("labelmesh_auth").joinpath("common_passwords.txt").read_text("utf-8").splitlines()
    return frozenset(word for line in lines if not line.startswith("#") for word in line.split())
