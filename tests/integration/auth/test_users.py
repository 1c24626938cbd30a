"""Administration of accounts."""

from __future__ import annotations

import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from google.protobuf.message import Message
from labelmesh.auth.v1 import sessions_pb2, users_pb2
from labelmesh_chassis.database import Database
from labelmesh_chassis.errors import Aborted, AlreadyExists, FailedPrecondition, InvalidArgument, MeshError, NotFound, PermissionDenied
from sqlalchemy import text

from tests.integration.auth.mesh import PASSWORD, READ, WRITE, Auth, Denied, add_user

Headers = dict[str, str]


@pytest.fixture
def root(auth: Auth) -> Headers:
    return auth.sign_in("root")


def creation(**changes: Any) -> users_pb2.CreateUserRequest:
    values = {"request_id": str(uuid.uuid4()), "name": "Grace", "password": "lantern-quarry-58", "role": users_pb2.ROLE_MANAGER, **changes}
    return users_pb2.CreateUserRequest(**values)


def update(user_id: str, *paths: str, **values: Any) -> users_pb2.UpdateUserRequest:
    request = users_pb2.UpdateUserRequest(user_id=user_id, **values)
    request.update_mask.paths.extend(paths)
    return request


def violations(auth: Auth, request: Message, headers: Headers) -> list[tuple[str, str]]:
    with pytest.raises(InvalidArgument) as raised:
        auth.call(request, headers)
    return [(violation.field, violation.reason) for violation in raised.value.violations]


def reason(kind: type[MeshError], auth: Auth, request: Message, headers: Headers) -> str:
    with pytest.raises(kind) as raised:
        auth.call(request, headers)
    return raised.value.reason


def test_a_new_account_signs_in_without_regard_to_the_case_of_its_name(auth: Auth, root: Headers) -> None:
    user = auth.call(creation(), root).user
    assert (user.name, user.display_name, user.role, user.disabled) == ("Grace", "Grace", users_pb2.ROLE_MANAGER, False)
    assert auth.sign_in_reply("gRACE", "lantern-quarry-58").session.user.id == user.id
    assert auth.call(users_pb2.GetUserRequest(user_id=user.id), root).user.id == user.id


def test_the_same_request_twenty_times_at_once_makes_one_account(auth: Auth, root: Headers, database: Database) -> None:
    request = creation()
    with ThreadPoolExecutor(10) as pool:
        ids = set(pool.map(lambda _: auth.call(request, root).user.id, range(20)))
    assert len(ids) == 1
    with database.transaction() as db:
        assert db.scalar(text("SELECT count(*) FROM users WHERE name_key = 'grace'")) == 1
        assert db.scalar(text("SELECT count(*) FROM audit_events WHERE action = 'user.create' AND actor <> 'system'")) == 1


def test_a_taken_name_and_a_request_id_of_another_account_are_refused(auth: Auth, root: Headers) -> None:
    assert reason(AlreadyExists, auth, creation(name="ADA"), root) == "USER_NAME_TAKEN"
    first = creation()
    auth.call(first, root)
    assert reason(AlreadyExists, auth, creation(request_id=first.request_id, name="other"), root) == "REQUEST_ID_REUSED"


@pytest.mark.parametrize(
    ("changes", "field", "expected"),
    [
        ({"password": "short"}, "password", "PASSWORD_LENGTH"),
        ({"password": "password2024"}, "password", "PASSWORD_COMMON"),
        ({"password": "i-am-grace-x"}, "password", "PASSWORD_CONTAINS_NAME"),
        ({"name": "two words"}, "name", None),
        ({"name": ""}, "name", None),
        ({"role": users_pb2.ROLE_UNSPECIFIED}, "role", None),
        ({"role": 17}, "role", None),
        ({"request_id": "1"}, "request_id", None),
        ({"project_ids": ["nonsense"]}, "project_ids[0]", None),
        ({"project_ids": [str(uuid.UUID(int=number)) for number in range(401)]}, "project_ids", None),
        ({"display_name": "x" * 201}, "display_name", None),
    ],
)
def test_bad_input_names_its_field_and_makes_no_row(
    auth: Auth, root: Headers, database: Database, changes: dict[str, Any], field: str, expected: str | None
) -> None:
    found = violations(auth, creation(**changes), root)
    assert {name for name, _ in found} == {field}
    assert expected is None or found == [(field, expected)]
    with database.transaction() as db:
        assert db.scalar(text("SELECT count(*) FROM users")) == 3


def test_an_account_with_as_many_projects_as_allowed_can_call(auth: Auth, root: Headers) -> None:
    projects = [str(uuid.uuid4()) for _ in range(400)]
    auth.call(creation(project_ids=projects, role=users_pb2.ROLE_ANNOTATOR), root)
    session = auth.call(sessions_pb2.GetSessionRequest(), auth.sign_in("grace", "lantern-quarry-58")).session
    assert sorted(session.user.project_ids) == sorted(projects)


def test_only_admins_administer(auth: Auth, user_ids: dict[str, str]) -> None:
    requests = [
        creation(),
        users_pb2.GetUserRequest(user_id=user_ids["ada"]),
        users_pb2.ListUsersRequest(),
        update(user_ids["ada"], "role", role=users_pb2.ROLE_ADMIN),
        users_pb2.SetPasswordRequest(user_id=user_ids["root"], password="lantern-quarry-58"),
    ]
    for name in ("ada", "mia"):
        headers = auth.sign_in(name)
        for request in requests:
            assert reason(PermissionDenied, auth, request, headers) == "ROLE_MISSING"


def test_accounts_are_listed_by_name_in_pages_without_loss_or_repeat(auth: Auth, root: Headers, database: Database) -> None:
    with database.transaction() as db:
        db.execute(
            text(
                "INSERT INTO users (id, name, name_key, display_name, role, password_hash, create_time)"
                " SELECT gen_random_uuid(), 'u' || n, 'u' || n, 'Person ' || n, 'annotator', 'x', now() FROM generate_series(1, 120) n"
            )
        )
    names: list[str] = []
    token = ""
    for _ in range(10):
        page = auth.call(users_pb2.ListUsersRequest(page_token=token), root)
        names += [user.name for user in page.users]
        token = page.next_page_token
        if not token:
            break
    assert len(names) == 123 and len(set(names)) == 123 and names == sorted(names)
    found = auth.call(users_pb2.ListUsersRequest(query="PERSON 11", page_size=500), root)
    assert {user.name for user in found.users} == {"u11", *(f"u11{n}" for n in range(10))}
    assert not auth.call(users_pb2.ListUsersRequest(query="%"), root).users


def test_a_page_token_that_is_nonsense_or_of_another_filter_is_refused(auth: Auth, root: Headers) -> None:
    token = auth.call(users_pb2.ListUsersRequest(page_size=1), root).next_page_token
    for wrong in (users_pb2.ListUsersRequest(page_token="é!"), users_pb2.ListUsersRequest(page_token=token, query="a")):
        assert violations(auth, wrong, root) == [("page_token", "PAGE_TOKEN_INVALID")]


def test_a_change_touches_only_what_its_mask_names(auth: Auth, root: Headers, user_ids: dict[str, str]) -> None:
    project = str(uuid.uuid4())
    changed = auth.call(update(user_ids["ada"], "project_ids", project_ids=[project], display_name="ignored", disabled=True), root).user
    assert (list(changed.project_ids), changed.display_name, changed.disabled) == ([project], "Ada", False)
    assert auth.call(update(user_ids["ada"], "display_name", display_name="Ada L."), root).user.display_name == "Ada L."


def test_a_mask_that_is_empty_or_names_something_else_is_refused(auth: Auth, root: Headers, user_ids: dict[str, str]) -> None:
    assert violations(auth, update(user_ids["ada"], "name"), root) == [("update_mask", "UPDATE_MASK_INVALID")]
    assert violations(auth, users_pb2.UpdateUserRequest(user_id=user_ids["ada"]), root)[0][0] == "update_mask"
    assert violations(auth, update(user_ids["ada"], "role"), root)[0][0] == "role"
    assert reason(NotFound, auth, update(str(uuid.uuid4()), "disabled"), root) == "USER_NOT_FOUND"


def test_a_change_from_an_old_reading_is_refused(auth: Auth, root: Headers, user_ids: dict[str, str]) -> None:
    etag = auth.call(users_pb2.GetUserRequest(user_id=user_ids["ada"]), root).user.etag
    first = auth.call(update(user_ids["ada"], "display_name", display_name="One", etag=etag), root).user
    assert first.etag != etag
    assert reason(Aborted, auth, update(user_ids["ada"], "display_name", display_name="Two", etag=etag), root) == "ETAG_MISMATCH"


def test_the_last_enabled_admin_can_be_neither_disabled_nor_demoted(auth: Auth, root: Headers, user_ids: dict[str, str]) -> None:
    for change in (
        update(user_ids["root"], "disabled", disabled=True),
        update(user_ids["root"], "role", role=users_pb2.ROLE_MANAGER),
    ):
        assert reason(FailedPrecondition, auth, change, root) == "LAST_ADMIN"
    auth.call(update(user_ids["mia"], "role", role=users_pb2.ROLE_ADMIN), root)
    auth.call(update(user_ids["root"], "role", role=users_pb2.ROLE_MANAGER), root)


def test_two_admins_who_demote_each_other_at_once_leave_one(
    auth: Auth, root: Headers, user_ids: dict[str, str], database: Database
) -> None:
    auth.call(update(user_ids["mia"], "role", role=users_pb2.ROLE_ADMIN), root)
    identities = {name: auth.admit(READ, auth.sign_in(name)) for name in ("root", "mia")}

    def demote(by: str, whom: str) -> str:
        try:
            auth.call_inside(update(user_ids[whom], "role", role=users_pb2.ROLE_ANNOTATOR), identities[by])
        except FailedPrecondition as refused:
            return refused.reason
        return "OK"

    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(demote, ("root", "mia"), ("mia", "root"))) == ["LAST_ADMIN", "OK"]
    with database.transaction() as db:
        assert db.scalar(text("SELECT count(*) FROM users WHERE role = 'admin' AND NOT disabled")) == 1


def test_a_changed_role_counts_from_the_next_call(auth: Auth, root: Headers, user_ids: dict[str, str]) -> None:
    ada = auth.sign_in()
    assert reason(PermissionDenied, auth, users_pb2.ListUsersRequest(), ada) == "ROLE_MISSING"
    auth.call(update(user_ids["ada"], "role", role=users_pb2.ROLE_ADMIN), root)
    assert len(auth.call(users_pb2.ListUsersRequest(), ada).users) == 3


def test_a_password_set_by_an_admin_ends_the_accounts_sessions(auth: Auth, root: Headers, user_ids: dict[str, str]) -> None:
    ada = auth.sign_in()
    request = users_pb2.SetPasswordRequest(user_id=user_ids["ada"], password="lantern-quarry-58")
    auth.call(request, root)
    with pytest.raises(Denied):
        auth.admit(WRITE, ada)
    with pytest.raises(MeshError):
        auth.sign_in("ada", PASSWORD)
    auth.sign_in("ada", "lantern-quarry-58")
    request.password = "ada-likes-herself"
    assert violations(auth, request, root) == [("password", "PASSWORD_CONTAINS_NAME")]


def test_changing_ones_own_password_keeps_this_session_and_ends_the_others(auth: Auth) -> None:
    here, there = auth.sign_in(), auth.sign_in()
    auth.call(users_pb2.ChangePasswordRequest(old_password=PASSWORD, new_password="lantern-quarry-58"), here)
    auth.admit(WRITE, here)
    with pytest.raises(Denied):
        auth.admit(WRITE, there)
    auth.sign_in("ada", "lantern-quarry-58")
    weak = users_pb2.ChangePasswordRequest(old_password="lantern-quarry-58", new_password="qwertyuiop")
    assert violations(auth, weak, here) == [("new_password", "PASSWORD_COMMON")]


def test_nobody_who_shares_an_account_takes_it_from_the_others(auth: Auth, database: Database, password_hash: str, root: Headers) -> None:
    guest = add_user(database, password_hash, "guest", shared=True)
    prankster, other = auth.sign_in("guest"), auth.sign_in("guest")
    taking = users_pb2.ChangePasswordRequest(old_password=PASSWORD, new_password="lantern-quarry-58")
    for request in (taking, sessions_pb2.SignOutEverywhereRequest()):
        assert reason(FailedPrecondition, auth, request, prankster) == "SHARED_ACCOUNT"
    auth.admit(WRITE, other)
    auth.call(sessions_pb2.SignOutRequest(), prankster)
    auth.sign_in("guest")
    auth.call(users_pb2.SetPasswordRequest(user_id=guest, password="lantern-quarry-58"), root)
    auth.sign_in("guest", "lantern-quarry-58")
