"""Values that are kept and sent."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from labelmesh_chassis.errors import InvalidArgument
from labelmesh_labeling.access import Caller
from labelmesh_labeling.leases import Lease, Next, Nothing, NothingReason, next_as_json, next_from_json
from labelmesh_labeling.links import ImageLinks
from labelmesh_labeling.ontology import LabelClass, check_classes
from labelmesh_labeling.wire import lease_message, plain

NOW = datetime(2030, 1, 1, 12, 3, 4, 567, tzinfo=UTC)
moments = st.datetimes(timezones=st.just(UTC))
leases = st.builds(
    Lease,
    st.uuids(),
    st.uuids(),
    st.just("ab" * 32),
    st.sampled_from(["image/png", "image/jpeg"]),
    st.integers(1, 10_000),
    st.integers(1, 10_000),
    moments,
    moments,
    st.none() | st.text(),
)
nothings = st.builds(Nothing, st.sampled_from(NothingReason), st.none() | moments)


@given(st.none() | leases | nothings)
def test_an_answer_comes_back_as_it_was_kept(found: Next | None) -> None:
    assert next_from_json(next_as_json(found)) == found


class Signer:
    """Counts what it signs."""

    def __init__(self) -> None:
        self.signed: list[tuple[str, datetime | None]] = []

    def presign_get(self, key: str, *, lifetime_s: int = 900, at: datetime | None = None) -> str:
        self.signed.append((key, at))
        return f"/objects/labelmesh/{key}?at={at}&for={lifetime_s}"


def test_an_image_has_one_address_for_some_minutes_and_it_works_for_fifteen_more() -> None:
    signer = Signer()
    links = ImageLinks(signer)
    first = links.address("ab" * 32, "image/png", NOW)
    assert links.address("ab" * 32, "image/png", NOW + timedelta(seconds=60)) == first
    assert links.address("ab" * 32, "image/png", NOW + timedelta(seconds=300)) != first
    assert [at for _, at in signer.signed] == [
        NOW.replace(minute=0, second=0, microsecond=0),
        NOW.replace(minute=5, second=0, microsecond=0),
    ]
    assert first.endswith("for=1200")


def test_a_lease_says_how_long_it_lasts_without_a_clock() -> None:
    lease = Lease(uuid.uuid4(), uuid.uuid4(), "ab" * 32, "image/png", 3, 4, NOW, NOW + timedelta(seconds=90))
    message = lease_message(lease, ImageLinks(Signer()))
    assert message.time_left.ToTimedelta() == timedelta(seconds=90)
    assert message.expire_time.ToDatetime(UTC) == NOW + timedelta(seconds=90)


def caller(*, machine: bool = False, projects: frozenset[uuid.UUID] = frozenset(), everything: bool = False) -> Caller:
    return Caller(uuid.uuid4(), uuid.uuid4(), machine, False, "", projects, everything)


def test_a_key_bound_to_projects_sees_those_alone() -> None:
    own, other = uuid.uuid4(), uuid.uuid4()
    bound = caller(machine=True, projects=frozenset({own}))
    assert bound.may_see(own, open_to_everyone=False)
    assert not bound.may_see(other, open_to_everyone=True)
    assert caller(projects=frozenset({own})).may_see(other, open_to_everyone=True)
    assert not caller().may_see(other, open_to_everyone=False)
    assert caller(everything=True).may_see(other, open_to_everyone=False)


def test_text_that_no_database_of_ours_can_keep_is_refused_with_its_field() -> None:
    assert plain("größer 🦊", "name") == "größer 🦊"
    with pytest.raises(InvalidArgument) as caught:
        plain("a\0b", "images[3].name")
    assert caught.value.violations[0].field == "images[3].name"


def test_classes_need_ids_and_keys_of_their_own() -> None:
    check_classes([LabelClass("a", "", "", ""), LabelClass("b", "", "", "")])
    with pytest.raises(InvalidArgument) as caught:
        check_classes([LabelClass("a", "", "1", ""), LabelClass("a", "", "1", "")])
    assert [violation.field for violation in caught.value.violations] == ["classes[1].id", "classes[1].hotkey"]
    for count in (0, 1001):
        with pytest.raises(InvalidArgument):
            check_classes([LabelClass(str(index), "", "", "") for index in range(count)])
