"""A label is written once, answered once, and can be taken back."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from google.protobuf.duration_pb2 import Duration
from labelmesh.labeling.v1 import annotations_pb2 as ann
from labelmesh.labeling.v1 import projects_pb2 as prj
from labelmesh_chassis.errors import FailedPrecondition, InvalidArgument, NotFound, PermissionDenied
from labelmesh_chassis.identity import Role

from tests.integration.labeling.people import Door, Person, new_id
from tests.integration.labeling.service import Labeling


@pytest.mark.parametrize("lease_next", [False, True])
def test_a_label_sent_twenty_times_at_once_is_one_annotation_and_one_answer(
    labeling: Labeling, ada: Person, manager: Person, project: str, lease_next: bool
) -> None:
    labeling.seed(project, 30)
    lease, request_id = ada.lease(project), new_id()
    with ThreadPoolExecutor(20) as pool:
        sent = [pool.submit(ada.submit, lease, "3", request_id=request_id, lease_next=lease_next) for _ in range(20)]
        answers = {each.result().SerializeToString(deterministic=True) for each in sent}
    assert len(answers) == 1
    assert len(manager.labels(project)) == 1
    assert ada.numbers(project).own.labels_given == 1
    assert labeling.sql("SELECT count(*) AS n FROM leases")[0].n == int(lease_next)
    late = ada.submit(lease, "3", request_id=request_id, lease_next=lease_next)
    assert late.SerializeToString(deterministic=True) in answers


def test_a_request_id_used_for_another_label_is_refused(labeling: Labeling, ada: Person, project: str) -> None:
    labeling.seed(project, 3)
    request_id = new_id()
    first, second = ada.lease(project), ada.lease(project)
    ada.submit(first, "1", request_id=request_id)
    for lease, class_id in ((second, "1"), (first, "2")):
        with pytest.raises(InvalidArgument) as caught:
            ada.submit(lease, class_id, request_id=request_id)
        assert (caught.value.reason, caught.value.violations[0].field) == ("REQUEST_ID_REUSED", "request_id")
    assert ada.numbers(project).own.labels_given == 1


def test_a_submit_hands_out_the_next_image_in_the_same_call(labeling: Labeling, ada: Person, project: str) -> None:
    labeling.seed(project, 3)
    lease = ada.lease(project)
    seen = {lease.id}
    for expected in (1, 2):
        answer = ada.submit(lease, lease_next=True)
        assert answer.labels_given == expected
        lease = answer.next.lease
        seen.add(lease.id)
    assert ada.submit(lease, lease_next=True).next.nothing.reason == ann.NOTHING_REASON_ALL_LABELED
    assert len(seen) == 3


def test_a_label_for_what_one_does_not_hold_is_refused_and_leaves_nothing(
    labeling: Labeling, ada: Person, bob: Person, manager: Person, project: str
) -> None:
    labeling.seed(project, 2)
    lease = ada.lease(project)
    unknown = ann.Lease(id=new_id(), project_id=project)
    for person, foreign in ((bob, lease), (ada, unknown)):
        with pytest.raises(FailedPrecondition) as caught:
            person.submit(foreign)
        assert (caught.value.reason, caught.value.violations[0].field) == ("LEASE_LOST", "lease_id")
    with pytest.raises(NotFound):
        ada.submit(ann.Lease(id=lease.id, project_id=new_id()))
    ada.release(lease)
    with pytest.raises(FailedPrecondition) as caught:
        ada.submit(lease)
    assert (caught.value.reason, caught.value.violations[0].field) == ("LEASE_ENDED", "lease_id")
    assert manager.labels(project) == []
    assert labeling.sql("SELECT count(*) AS n FROM requests WHERE method = 'submit'")[0].n == 0


def test_an_unknown_class_is_refused_with_its_field_and_the_image_stays_held(
    labeling: Labeling, ada: Person, manager: Person, project: str
) -> None:
    labeling.seed(project, 1)
    lease = ada.lease(project)
    for class_id in ("cat", "0\0"):
        with pytest.raises(InvalidArgument) as caught:
            ada.submit(lease, class_id, lease_next=True)
        assert caught.value.violations[0].field == "class_id"
    assert manager.labels(project, show_withdrawn=True) == []
    assert ada.submit(lease, "1").labels_given == 1


def test_an_annotation_says_who_made_it_and_how_long_it_took(labeling: Labeling, ada: Person, manager: Person, project: str) -> None:
    (image,) = labeling.seed(project, 1)
    lead = Duration()
    lead.FromTimedelta(timedelta(milliseconds=1234))
    answer = ada.submit(ada.lease(project), "7", lead_time=lead)
    (found,) = manager.labels(project)
    assert (found.id, found.image_id, found.class_id, found.author_id) == (answer.annotation_id, image, "7", ada.id)
    assert (found.author_kind, found.schema_version, found.repeat_of) == (ann.AUTHOR_KIND_HUMAN, 1, "")
    assert found.lead_time.ToTimedelta() == timedelta(milliseconds=1234)


def test_undo_takes_back_label_after_label_and_gives_the_images_back_with_their_classes(
    labeling: Labeling, ada: Person, bob: Person, manager: Person, project: str
) -> None:
    labeling.seed(project, 3)
    for class_id in "123":
        ada.submit(ada.lease(project), class_id)
    first = ada.undo(project)
    second = ada.undo(project)
    assert [first.lease.previous_class_id, second.lease.previous_class_id] == ["3", "2"]
    assert [first.labels_given, second.labels_given] == [2, 1]
    assert bob.reason(project) == "ALL_HELD"
    assert ada.submit(first.lease, "9").labels_given == 2
    assert [label.class_id for label in manager.labels(project)] == ["1", "9"]
    assert [bool(label.withdraw_time.seconds) for label in manager.labels(project, show_withdrawn=True)] == [False, True, True, False]
    numbers = ada.numbers(project)
    assert (numbers.project.images_completed, numbers.project.labels, numbers.own.distinct_images_labeled) == (2, 2, 2)


def test_an_undo_sent_twenty_times_at_once_takes_back_one_label(labeling: Labeling, ada: Person, project: str) -> None:
    labeling.seed(project, 3)
    for _ in range(3):
        ada.submit(ada.lease(project))
    request_id = new_id()
    with ThreadPoolExecutor(20) as pool:
        sent = [pool.submit(ada.undo, project, request_id=request_id) for _ in range(20)]
        answers = {each.result().SerializeToString(deterministic=True) for each in sent}
    assert len(answers) == 1
    assert ada.numbers(project).own.labels_given == 2


def test_undos_at_the_same_time_each_take_back_a_label_of_their_own(labeling: Labeling, ada: Person, project: str) -> None:
    labeling.seed(project, 6)
    for _ in range(6):
        ada.submit(ada.lease(project))
    with ThreadPoolExecutor(4) as pool:
        leases = {each.result().lease.id for each in [pool.submit(ada.undo, project) for _ in range(4)]}
    assert len(leases) == 4
    assert ada.numbers(project).own.labels_given == 2


def test_there_is_nothing_to_undo_before_the_first_label_nor_of_others(labeling: Labeling, ada: Person, bob: Person, project: str) -> None:
    labeling.seed(project, 1)
    bob.submit(bob.lease(project))
    with pytest.raises(FailedPrecondition) as caught:
        ada.undo(project)
    assert caught.value.reason == "NOTHING_TO_UNDO"


def test_an_undone_image_that_was_given_back_goes_to_others(labeling: Labeling, ada: Person, bob: Person, project: str) -> None:
    labeling.seed(project, 1)
    ada.submit(ada.lease(project))
    ada.release(ada.undo(project).lease)
    assert bob.submit(bob.lease(project)).labels_given == 1
    with pytest.raises(FailedPrecondition):
        ada.undo(project)


def test_a_machine_s_labels_stand_beside_the_people_s_and_are_judged_by_them(
    labeling: Labeling, ada: Person, door: Door, manager: Person, project: str
) -> None:
    images = labeling.seed(project, 3)
    machine = door.person(Role.MANAGER, key=True)
    put = ann.PutMachineAnnotationsRequest(
        request_id=new_id(),
        project_id=project,
        model="digits",
        model_version="3",
        annotations=[ann.MachineAnnotation(image_id=image, class_id="4", score=0.75) for image in images],
    )
    ids = machine.annotations.PutMachineAnnotations(put, metadata=machine.metadata).annotation_ids
    assert machine.annotations.PutMachineAnnotations(put, metadata=machine.metadata).annotation_ids == ids
    ada.submit(ada.lease(project), "4")
    ada.submit(ada.lease(project), "5")
    found = manager.labels(project, author_kind=ann.AUTHOR_KIND_MACHINE)
    assert [label.id for label in found] == list(ids)
    assert [label.verdict for label in found] == [ann.VERDICT_ACCEPTED, ann.VERDICT_CORRECTED, ann.VERDICT_UNSPECIFIED]
    assert {(label.model, label.model_version, label.score) for label in found} == {("digits", "3", 0.75)}
    assert {label.author_id for label in found} == {machine.identity.subject.partition(":")[2]}
    numbers = manager.numbers(project).project
    assert (numbers.machine_labels, numbers.labels, numbers.images_completed) == (3, 2, 2)
    ada.undo(project)
    assert manager.labels(project, image_id=images[1])[0].verdict == ann.VERDICT_UNSPECIFIED


def test_machine_labels_are_all_written_or_none(labeling: Labeling, door: Door, ada: Person, manager: Person, project: str) -> None:
    (image,) = labeling.seed(project, 1)
    machine = door.person(Role.MANAGER, key=True)

    def put(who: Person, *wanted: tuple[str, str]) -> None:
        labels = [ann.MachineAnnotation(image_id=image_id, class_id=class_id, score=1) for image_id, class_id in wanted]
        request = ann.PutMachineAnnotationsRequest(
            request_id=new_id(), project_id=project, model="m", model_version="1", annotations=labels
        )
        who.annotations.PutMachineAnnotations(request, metadata=who.metadata)

    with pytest.raises(InvalidArgument) as unknown_class:
        put(machine, (image, "1"), (image, "cat"))
    assert unknown_class.value.violations[0].field == "annotations[1].class_id"
    with pytest.raises(NotFound) as unknown_image:
        put(machine, (image, "1"), (new_id(), "1"))
    assert unknown_image.value.violations[0].field == "annotations[1].image_id"
    with pytest.raises(PermissionDenied):
        put(ada, (image, "1"))
    assert manager.labels(project) == []


def test_annotators_do_not_see_the_labels_of_others(labeling: Labeling, ada: Person, door: Door, project: str) -> None:
    labeling.seed(project, 1)
    with pytest.raises(PermissionDenied):
        ada.labels(project)
    assert door.person(key=True).labels(project) == []


def test_a_class_that_annotations_use_cannot_be_removed(labeling: Labeling, ada: Person, manager: Person, project: str) -> None:
    labeling.seed(project, 2)
    ada.submit(ada.lease(project), "3")

    def keep(*class_ids: str) -> prj.Project:
        request = prj.UpdateProjectRequest(project_id=project, classes=[prj.LabelClass(id=class_id) for class_id in class_ids])
        request.update_mask.paths.append("classes")
        changed: prj.Project = manager.projects.UpdateProject(request, metadata=manager.metadata).project
        return changed

    with pytest.raises(FailedPrecondition) as caught:
        keep("1", "2")
    assert (caught.value.reason, caught.value.violations[0].field) == ("CLASS_IN_USE", "classes")
    assert keep("3", "new").schema_version == 2
    with pytest.raises(InvalidArgument):
        ada.submit(ada.lease(project), "1")
    assert ada.submit(ada.undo(project).lease, "new").labels_given == 1
    assert [label.schema_version for label in manager.labels(project, show_withdrawn=True)] == [1, 2]
