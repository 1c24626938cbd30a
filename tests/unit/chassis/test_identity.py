"""What an identity may see, and which role includes which."""

from __future__ import annotations

import pytest
from labelmesh_chassis.identity import Identity, Role


@pytest.mark.parametrize(
    ("identity", "open_to_everyone", "may"),
    [
        (Identity("user:u", "u", Role.ANNOTATOR), True, True),
        (Identity("user:u", "u", Role.ANNOTATOR), False, False),
        (Identity("user:u", "u", Role.ANNOTATOR, project_ids=frozenset({"p"})), False, True),
        (Identity("user:u", "u", Role.MANAGER, all_projects=True), False, True),
        (Identity("key:k", "u", Role.MANAGER, project_ids=frozenset({"other"})), True, False),
        (Identity("key:k", "u", Role.MANAGER, project_ids=frozenset({"p"})), False, True),
    ],
)
def test_who_may_see_a_project(identity: Identity, open_to_everyone: bool, may: bool) -> None:
    assert identity.may_see("p", open_to_everyone=open_to_everyone) is may


def test_each_role_includes_the_ones_before_it() -> None:
    assert Role.ADMIN.includes(Role.ANNOTATOR)
    assert not Role.ANNOTATOR.includes(Role.MANAGER)
