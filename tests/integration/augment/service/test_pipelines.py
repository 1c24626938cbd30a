"""Pipelines that projects keep: who may, what is refused, and that nothing is lost or done twice."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest
from google.protobuf.json_format import MessageToDict
from labelmesh.augment.v1 import pipelines_pb2 as pip
from labelmesh.labeling.v1 import projects_pb2 as prj
from labelmesh_chassis.errors import Aborted, InvalidArgument, MeshError, NotFound, PermissionDenied, ResourceExhausted, Unavailable
from labelmesh_chassis.identity import Role

from tests.integration.augment.service.conftest import StartAugment
from tests.integration.augment.service.people import Person, new_id, pipeline
from tests.integration.augment.service.service import NOWHERE, Augment
from tests.integration.labeling.people import Person as Labeler
from tests.integration.labeling.service import Labeling

FLIP = pipeline({"transform": "horizontal_flip", "probability": 0.5})
TURN = pipeline({"transform": "rotate", "parameters": {"angle": [-20, 20]}})
WRONG = pipeline("rotat", {"transform": "rotate", "parameters": {"angle": [20, -20], "speed": 1}})


# --- what there is, and whether it is right ---


def test_every_transform_is_told_with_what_a_control_for_it_needs(ada: Person) -> None:
    answer = ada.pipelines.ListTransforms(pip.ListTransformsRequest(), metadata=ada.metadata)
    found = {transform.name: transform for transform in answer.transforms}
    assert len(found) == len(answer.transforms) > 40
    for transform in found.values():
        assert transform.title
        assert transform.summary
        assert transform.labels_summary
        assert transform.family != pip.FAMILY_UNSPECIFIED
        for parameter in transform.parameters:
            assert parameter.title
            assert parameter.kind != pip.PARAMETER_KIND_UNSPECIFIED
            assert parameter.default_value.WhichOneof("kind") not in (None, "null_value")
            if parameter.kind in (pip.PARAMETER_KIND_NUMBER, pip.PARAMETER_KIND_INTEGER):
                assert parameter.minimum < parameter.maximum
            assert bool(parameter.choices) == (parameter.kind == pip.PARAMETER_KIND_CHOICE)
    angle = next(parameter for parameter in found["rotate"].parameters if parameter.name == "angle")
    assert (angle.unit, angle.ranged, len(angle.default_value.list_value.values)) == ("°", True, 2)
    assert found["one_of"].holds_steps
    assert found["mixup"].further_pictures >= 1


def test_everything_that_is_wrong_is_said_at_once_and_where(ada: Person) -> None:
    answer = ada.validate(WRONG)
    assert not answer.valid
    assert not answer.HasField("pipeline")
    places = {finding.field: finding.description for finding in answer.findings}
    assert set(places) == {"steps[0].transform", "steps[1].parameters.angle", "steps[1].parameters.speed"}
    assert "rotate" in places["steps[0].transform"]


def test_what_was_left_out_is_filled_in_and_that_is_the_same_pipeline(ada: Person) -> None:
    answer = ada.validate(pipeline("rotate", {"transform": "one_of", "steps": [{"transform": "invert"}]}))
    assert answer.valid
    assert answer.pipeline.version == 1
    assert answer.pipeline.labels.min_visible_share == pytest.approx(0.1)
    angle = MessageToDict(answer.pipeline)["steps"][0]["parameters"]["angle"]
    assert angle[0] < 0 < angle[1]
    assert ada.validate(answer.pipeline).pipeline == answer.pipeline


def test_a_warning_leaves_a_pipeline_valid(ada: Person) -> None:
    answer = ada.validate(pipeline({"transform": "invert", "probability": 0}))
    assert answer.valid
    assert [finding.warning for finding in answer.findings] == [True]


@pytest.mark.parametrize(
    "hostile",
    [
        pipeline(*["invert"] * 100, version=999),
        pipeline({"transform": "rotate", "parameters": {"angle": {"a": {"b": [1, 2, {"c": None}]}}}}),
        pipeline({"transform": "rotate", "parameters": {"angle": ["1", True]}}),
        pipeline({"transform": "a\u0000b" * 10, "parameters": {"\u0000": "\u0000"}}),
        pipeline({"transform": "rotate", "parameters": {f"n{number}": number for number in range(5000)}}),
    ],
    ids=["a later version", "deep values", "wrong types", "no text", "thousands of parameters"],
)
def test_hostile_pipelines_are_found_out(ada: Person, hostile: pip.Pipeline) -> None:
    answer = ada.validate(hostile)
    assert not answer.valid
    assert 0 < len(answer.findings) <= 100


def test_a_pipeline_of_a_size_that_none_has_is_not_even_looked_at(ada: Person) -> None:
    with pytest.raises(InvalidArgument) as refused:
        ada.validate(pipeline({"transform": "rotate", "parameters": {"angle": "x" * 300_000}}))
    assert refused.value.reason == "PIPELINE_INVALID"


def test_numbers_that_are_none_are_refused(ada: Person) -> None:
    for number in (float("nan"), float("inf"), -float("inf")):
        odd = pipeline("rotate")
        odd.steps[0].parameters.fields["angle"].number_value = number
        assert [finding.field for finding in ada.validate(odd).findings] == ["steps[0].parameters.angle"]


def test_steps_in_steps_without_end_are_refused(ada: Person) -> None:
    deep = pip.Step(transform="sequence")
    for _ in range(30):
        deep = pip.Step(transform="sequence", steps=[deep])
    assert not ada.validate(pip.Pipeline(steps=[deep])).valid


# --- saving ---


def test_a_saved_pipeline_comes_back_with_everything_filled_in(manager: Person, ada: Person, project: str) -> None:
    saved = manager.save(project, "plain", TURN, note="for the start")
    assert (saved.version, saved.note, saved.author_id, saved.project_id, saved.name) == (1, "for the start", manager.id, project, "plain")
    assert saved.pipeline == ada.validate(TURN).pipeline
    assert saved.create_time.seconds > 1_600_000_000
    assert ada.saved(project, "plain") == ada.saved(project, "plain", 1) == saved


def test_versions_count_up_and_never_change(manager: Person, ada: Person, project: str) -> None:
    first = manager.save(project, "p", FLIP)
    second = manager.save(project, "p", TURN, previous_version=1)
    assert (first.version, second.version) == (1, 2)
    assert ada.saved(project, "p", 1) == first
    assert ada.saved(project, "p") == second
    assert [found.version for found in ada.listed(project, name="p")] == [2, 1]


def test_the_newest_version_saved_again_is_that_version(manager: Person, project: str) -> None:
    first = manager.save(project, "p", TURN, note="why")
    assert manager.save(project, "p", first.pipeline) == first
    assert manager.save(project, "p", TURN, note="why") == first
    assert manager.save(project, "p", TURN, note="another reason").version == 2
    manager.save(project, "p", FLIP)
    assert manager.save(project, "p", TURN).version == 4


def test_who_did_not_see_the_newest_version_is_told(manager: Person, project: str) -> None:
    manager.save(project, "p", FLIP)
    manager.save(project, "p", TURN, previous_version=1)
    with pytest.raises(Aborted) as raced:
        manager.save(project, "p", pipeline("invert"), previous_version=1)
    assert raced.value.reason == "VERSION_EXISTS"
    with pytest.raises(Aborted):
        manager.save(project, "new", FLIP, previous_version=3)
    assert len(manager.listed(project, name="p")) == 2


def test_a_call_sent_again_saves_nothing_more_and_its_id_is_for_that_call_alone(manager: Person, project: str) -> None:
    request_id = new_id()
    first = manager.save(project, "p", FLIP, request_id=request_id)
    manager.save(project, "p", TURN)
    assert manager.save(project, "p", FLIP, request_id=request_id) == first
    for name, definition in (("p", TURN), ("other", FLIP)):
        with pytest.raises(InvalidArgument) as reused:
            manager.save(project, name, definition, request_id=request_id)
        assert reused.value.reason == "REQUEST_ID_REUSED"
    assert len(manager.listed(project, name="p")) == 2


def test_a_wrong_pipeline_is_not_saved_and_every_finding_is_a_violation(manager: Person, project: str) -> None:
    with pytest.raises(InvalidArgument) as refused:
        manager.save(project, "p", WRONG)
    assert refused.value.reason == "PIPELINE_INVALID"
    fields = [violation.field for violation in refused.value.violations]
    assert fields == ["pipeline.steps[0].transform", "pipeline.steps[1].parameters.speed", "pipeline.steps[1].parameters.angle"]
    assert manager.listed(project) == []


@pytest.mark.parametrize("name", ["", "Upper", "-begins", "a/b", "x" * 65, "ü"])
def test_names_are_plain(manager: Person, project: str, name: str) -> None:
    with pytest.raises(InvalidArgument, match="INVALID_FIELDS"):
        manager.save(project, name, FLIP)


def test_texts_that_no_database_keeps_are_refused_where_they_are_kept(manager: Person, project: str) -> None:
    with pytest.raises(InvalidArgument, match="TEXT_INVALID"):
        manager.save(project, "p", FLIP, note="a\0b")
    with pytest.raises(InvalidArgument, match="TEXT_INVALID"):
        manager.listed(project, name="\0")
    odd = pipeline(labels={"mirrorPairs": [{"first": "a\0", "second": "b"}]})
    assert manager.save(project, "odd", odd).pipeline.labels.mirror_pairs[0].first == "a\0"


def test_two_who_save_at_once_get_two_versions(manager: Person, project: str) -> None:
    saved: list[int] = []

    def save(number: int) -> None:
        definition = pipeline({"transform": "rotate", "parameters": {"angle": [0, number + 1]}})
        saved.append(manager.save(project, "p", definition).version)

    threads = [threading.Thread(target=save, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)
    assert sorted(saved) == list(range(1, 9))


# --- lists ---


def test_lists_have_the_newest_of_each_name_page_by_page(manager: Person, ada: Person, project: str) -> None:
    names = [f"p{number}" for number in range(7)] + ["a.b", "a-b", "a_b"]
    for name in names:
        manager.save(project, name, FLIP)
    manager.save(project, "p3", TURN)
    for size in (0, 1, 3, 10):
        found = ada.listed(project, page_size=size)
        assert [one.name for one in found] == sorted(names)
        assert {one.name: one.version for one in found} == {name: 2 if name == "p3" else 1 for name in names}
    assert ada.listed(project, name="nothing") == []


def test_page_tokens_are_for_their_own_list(manager: Person, project: str) -> None:
    for name in ("a", "b"):
        manager.save(project, name, FLIP)
        manager.save(project, name, TURN)
    first = manager.pipelines.ListPipelines(pip.ListPipelinesRequest(project_id=project, page_size=1), metadata=manager.metadata)
    for name, token in (("a", first.next_page_token), ("", "nonsense"), ("", "WyJwIiwxXQ")):
        request = pip.ListPipelinesRequest(project_id=project, name=name, page_token=token)
        with pytest.raises(InvalidArgument, match="PAGE_TOKEN_INVALID"):
            manager.pipelines.ListPipelines(request, metadata=manager.metadata)


def test_a_deleted_name_is_off_the_list_and_its_versions_stay(manager: Person, project: str) -> None:
    first = manager.save(project, "p", FLIP)
    manager.delete(project, "p")
    assert manager.listed(project) == manager.listed(project, name="p") == []
    assert manager.saved(project, "p", 1) == first
    with pytest.raises(NotFound, match="PIPELINE_NOT_FOUND"):
        manager.saved(project, "p")
    with pytest.raises(NotFound, match="PIPELINE_NOT_FOUND"):
        manager.delete(project, "p")
    assert manager.save(project, "p", FLIP).version == 2
    assert [found.version for found in manager.listed(project, name="p")] == [2]


def test_deleting_sent_again_is_no_error_and_deletes_nothing_new(manager: Person, project: str) -> None:
    request_id = new_id()
    manager.save(project, "p", FLIP)
    manager.delete(project, "p", request_id=request_id)
    manager.save(project, "p", TURN)
    manager.delete(project, "p", request_id=request_id)
    assert manager.saved(project, "p").version == 2


@pytest.mark.parametrize(("name", "version"), [("nothing", 0), ("p", 7)])
def test_what_is_not_there_is_not_found(manager: Person, project: str, name: str, version: int) -> None:
    manager.save(project, "p", FLIP)
    with pytest.raises(NotFound) as missing:
        manager.saved(project, name, version)
    assert missing.value.reason == "PIPELINE_NOT_FOUND"


def test_a_project_keeps_a_thousand_names_and_a_name_a_thousand_versions(augment: Augment, manager: Person, project: str) -> None:
    manager.save(project, "many", FLIP)
    copy = "INSERT INTO pipeline_versions SELECT project_id, name, n, definition, note, author_id, created_at"
    augment.sql(f"{copy} FROM pipeline_versions, generate_series(2, 1000) n WHERE project_id = :project AND name = 'many'", project=project)
    augment.sql("UPDATE pipelines SET newest = 1000 WHERE project_id = :project", project=project)
    with pytest.raises(ResourceExhausted, match="TOO_MANY_PIPELINES"):
        manager.save(project, "many", TURN)
    assert len(manager.listed(project, name="many", page_size=500)) == 1000
    name = "INSERT INTO pipelines SELECT project_id, 'n' || n, 1, 1 FROM pipelines, generate_series(2, 1000) n WHERE project_id = :project"
    augment.sql(name, project=project)
    with pytest.raises(ResourceExhausted, match="TOO_MANY_PIPELINES"):
        manager.save(project, "one-more", FLIP)
    augment.sql("UPDATE pipelines SET listed_from = 2 WHERE project_id = :project AND name = 'n2'", project=project)
    assert manager.save(project, "one-more", FLIP).version == 1


def test_a_pipeline_of_a_later_format_can_still_be_read(augment: Augment, manager: Person, project: str) -> None:
    saved = manager.save(project, "p", FLIP)
    later = pip.Pipeline()
    later.CopyFrom(saved.pipeline)
    later.version = 2
    later.steps[0].transform = "not_thought_of_yet"
    # Field 900, a string: what this contract does not have.
    definition = later.SerializeToString() + b"\xa2\x38\x05later"
    augment.sql("UPDATE pipeline_versions SET definition = :definition WHERE project_id = :project", definition=definition, project=project)
    assert manager.saved(project, "p").pipeline.steps[0].transform == "not_thought_of_yet"
    assert len(manager.listed(project)) == 1
    augment.sql("UPDATE pipeline_versions SET definition = :definition WHERE project_id = :project", definition=definition, project=project)


# --- who may ---


def test_saving_and_deleting_is_for_who_may_manage_the_project(augment: Augment, manager: Person, ada: Person, project: str) -> None:
    manager.save(project, "p", FLIP)
    key = augment.door.person
    refused: list[tuple[Person, str]] = [
        (ada, "ROLE_MISSING"),
        (key(Role.MANAGER, scopes=["augment.read", "augment.apply"]), "SCOPE_MISSING"),
        (key(Role.ANNOTATOR, scopes=["augment.manage"]), "ROLE_MISSING"),
    ]
    for person, reason in refused:
        changes: list[Callable[[Person], object]] = [lambda who: who.save(project, "q", FLIP), lambda who: who.delete(project, "p")]
        for change in changes:
            with pytest.raises(PermissionDenied) as denied:
                change(person)
            assert denied.value.reason == reason
    program = key(Role.MANAGER, scopes=["augment.manage"])
    assert program.save(project, "q", FLIP).author_id == program.id


def test_a_project_that_is_not_for_somebodys_eyes_is_not_there(
    augment: Augment, labeling: Labeling, labeling_manager: Labeler, manager: Person
) -> None:
    closed = labeling_manager.create_project(access=prj.PROJECT_ACCESS_RESTRICTED).id
    manager.save(closed, "p", FLIP)
    stranger = augment.door.person()
    member = augment.door.person(projects=[closed])
    bound_elsewhere = augment.door.person(Role.MANAGER, scopes=["augment.manage"], projects=[new_id()])
    assert member.saved(closed, "p").version == 1
    for person in (stranger, bound_elsewhere):
        with pytest.raises(NotFound, match="PROJECT_NOT_FOUND"):
            person.saved(closed, "p")
        with pytest.raises(NotFound, match="PROJECT_NOT_FOUND"):
            person.listed(closed)
    with pytest.raises(NotFound, match="PROJECT_NOT_FOUND"):
        bound_elsewhere.save(closed, "q", FLIP)
    with pytest.raises(NotFound, match="PROJECT_NOT_FOUND"):
        bound_elsewhere.delete(closed, "p")


def test_a_key_bound_to_projects_sees_those_alone_even_where_all_may_look(augment: Augment, manager: Person, project: str) -> None:
    manager.save(project, "p", FLIP)
    assert augment.door.person(scopes=["augment.read"], projects=[project]).saved(project, "p").version == 1
    with pytest.raises(NotFound, match="PROJECT_NOT_FOUND"):
        augment.door.person(scopes=["augment.read"], projects=[new_id()]).saved(project, "p")


def test_without_labeling_saved_pipelines_are_away_and_the_rest_goes_on(start_augment: StartAugment) -> None:
    service = start_augment(labeling=NOWHERE, workers=1)
    person = service.door.person(Role.MANAGER)
    with pytest.raises(Unavailable):
        person.saved(new_id(), "p")
    assert person.validate(FLIP).valid


def test_nobody_calls_without_an_identity(augment: Augment) -> None:
    nobody = augment.door.person()
    with pytest.raises(MeshError, match="IDENTITY_MISSING"):
        nobody.pipelines.ListTransforms(pip.ListTransformsRequest())
