"""Projects: who sees them, who changes them, and what they may say."""

from __future__ import annotations

from typing import Any

import pytest
from google.protobuf.duration_pb2 import Duration
from labelmesh.labeling.v1 import projects_pb2 as prj
from labelmesh_chassis.errors import Aborted, InvalidArgument, NotFound, PermissionDenied
from labelmesh_chassis.identity import Role

from tests.integration.labeling.people import Door, Person, new_id
from tests.integration.labeling.service import Labeling


def change(person: Person, project_id: str, *paths: str, etag: str = "", **values: Any) -> prj.Project:
    request = prj.UpdateProjectRequest(project_id=project_id, etag=etag, **values)
    request.update_mask.paths.extend(paths)
    changed: prj.Project = person.projects.UpdateProject(request, metadata=person.metadata).project
    return changed


def test_a_project_has_the_contract_s_defaults(manager: Person) -> None:
    made = manager.create_project()
    assert (made.repeat_rate, made.lease_duration.seconds, made.schema_version) == (0.2, 120, 1)
    assert (made.state, made.access) == (prj.PROJECT_STATE_OPEN, prj.PROJECT_ACCESS_EVERYONE)
    assert [found.id for found in made.classes] == list("0123456789")
    assert manager.project(made.id) == made


def test_a_project_is_made_once_for_a_request_id(manager: Person) -> None:
    request = prj.CreateProjectRequest(request_id=new_id(), display_name="Foxes", classes=[prj.LabelClass(id="fox")])
    first = manager.projects.CreateProject(request, metadata=manager.metadata).project
    assert manager.projects.CreateProject(request, metadata=manager.metadata).project == first
    request.display_name = "Hens"
    with pytest.raises(InvalidArgument) as caught:
        manager.projects.CreateProject(request, metadata=manager.metadata)
    assert caught.value.violations[0].field == "request_id"


@pytest.mark.parametrize(
    ("classes", "field"),
    [
        ([("a", ""), ("a", "")], "classes[1].id"),
        ([("a", "1"), ("b", "1")], "classes[1].hotkey"),
        ([], "classes"),
        ([("no spaces", "")], "classes[0].id"),
    ],
)
def test_classes_that_clash_are_refused_with_their_field(manager: Person, classes: list[tuple[str, str]], field: str) -> None:
    messages = [prj.LabelClass(id=class_id, hotkey=hotkey) for class_id, hotkey in classes]
    request = prj.CreateProjectRequest(request_id=new_id(), display_name="x", classes=messages)
    with pytest.raises(InvalidArgument) as caught:
        manager.projects.CreateProject(request, metadata=manager.metadata)
    assert caught.value.violations[0].field == field


def test_text_that_cannot_be_kept_is_refused_with_its_field(manager: Person) -> None:
    for field, value in (("display_name", "a\0b"), ("description", "\0"), ("display_name", "x" * 201)):
        request = prj.CreateProjectRequest(request_id=new_id(), display_name="x", classes=[prj.LabelClass(id="a")])
        setattr(request, field, value)
        with pytest.raises(InvalidArgument) as caught:
            manager.projects.CreateProject(request, metadata=manager.metadata)
        assert caught.value.violations[0].field == field


def test_an_update_changes_what_its_mask_names_and_nothing_else(manager: Person) -> None:
    made = manager.create_project()
    changed = change(
        manager, made.id, "display_name", "lease_duration", display_name="Foxes", lease_duration=Duration(seconds=5), repeat_rate=0.4
    )
    assert (changed.display_name, changed.lease_duration.seconds, changed.repeat_rate) == ("Foxes", 5, 0.2)
    assert changed.etag != made.etag
    assert manager.project(made.id) == changed
    assert change(manager, made.id, "state", state=2, etag=changed.etag).state == prj.PROJECT_STATE_CLOSED
    with pytest.raises(Aborted) as caught:
        change(manager, made.id, "description", description="late", etag=changed.etag)
    assert caught.value.reason == "ETAG_MISMATCH"
    for path, field in (("id", "update_mask.paths[0]"), ("access", "access"), ("display_name", "display_name"), ("classes", "classes")):
        with pytest.raises(InvalidArgument) as refused:
            change(manager, made.id, path)
        assert refused.value.violations[0].field == field


def test_the_model_that_suggests_is_a_setting_like_the_others(manager: Person, ada: Person) -> None:
    made = manager.create_project(suggestion_model="digits")
    assert ada.project(made.id).suggestion_model == "digits"
    untouched = change(manager, made.id, "description", description="x", suggestion_model="other")
    assert untouched.suggestion_model == "digits"
    changed = change(manager, made.id, "suggestion_model", suggestion_model="digits-2", etag=untouched.etag)
    assert (changed.suggestion_model, changed.description) == ("digits-2", "x")
    assert changed.etag != untouched.etag
    with pytest.raises(Aborted):
        change(manager, made.id, "suggestion_model", suggestion_model="late", etag=untouched.etag)
    assert change(manager, made.id, "suggestion_model").suggestion_model == ""
    listed = ada.projects.ListProjects(prj.ListProjectsRequest(), metadata=ada.metadata).projects
    assert [each.suggestion_model for each in listed] == [""]
    for value in ("x" * 65, "a\0b"):
        with pytest.raises(InvalidArgument) as refused:
            change(manager, made.id, "suggestion_model", suggestion_model=value)
        assert refused.value.violations[0].field == "suggestion_model"


def test_annotators_make_and_change_no_projects(manager: Person, ada: Person, project: str) -> None:
    with pytest.raises(PermissionDenied):
        ada.create_project()
    with pytest.raises(PermissionDenied):
        change(ada, project, "state", state=2)


def test_everybody_lists_the_projects_for_their_eyes_newest_first(labeling: Labeling, manager: Person, door: Door) -> None:
    shared = manager.create_project().id
    secret = manager.create_project(access=2).id
    newest = manager.create_project().id
    everything = [newest, secret, shared]
    cases = [
        (manager, everything),
        (door.person(), [newest, shared]),
        (door.person(projects=[secret]), everything),
        (door.person(Role.MANAGER, key=True, projects=[secret]), [secret]),
        (door.person(Role.MANAGER, key=True), everything),
    ]
    for person, visible in cases:
        found = person.projects.ListProjects(prj.ListProjectsRequest(), metadata=person.metadata)
        assert [each.id for each in found.projects] == visible
        for project_id in everything:
            if project_id in visible:
                assert person.project(project_id).id == project_id
            else:
                with pytest.raises(NotFound):
                    person.project(project_id)
    first = manager.projects.ListProjects(prj.ListProjectsRequest(page_size=2), metadata=manager.metadata)
    rest = manager.projects.ListProjects(prj.ListProjectsRequest(page_size=2, page_token=first.next_page_token), metadata=manager.metadata)
    assert [each.id for each in (*first.projects, *rest.projects)] == everything
    assert rest.next_page_token == ""
