"""Messages between a service and its workers."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Iterator

import pytest
from labelmesh_chassis.errors import FieldViolation, InvalidArgument, MeshError, ResourceExhausted, UnknownError, from_status, to_status
from labelmesh_chassis.worker import DONE, MOST_PARTS, Closed, receive, send


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    ends = socket.socketpair()
    yield ends
    for end in ends:
        end.close()


@pytest.mark.parametrize(
    "parts",
    [(), (b"",), (b"", b"x", b""), (b"a" * 3_000_000, b"b", b"c" * 1_000_000), tuple(str(number).encode() for number in range(3000))],
    ids=["none", "empty", "with empty ones", "large", "more than one system call takes"],
)
def test_messages_come_as_they_were_sent(pair: tuple[socket.socket, socket.socket], parts: tuple[bytes, ...]) -> None:
    sender = threading.Thread(target=send, args=(pair[0], DONE, 1.5, parts))
    sender.start()
    assert receive(pair[1]) == (DONE, 1.5, parts)
    sender.join()


def test_several_messages_do_not_run_into_one_another(pair: tuple[socket.socket, socket.socket]) -> None:
    for number in range(3):
        send(pair[0], DONE, number, (b"x" * number,))
    assert [receive(pair[1]) for _ in range(3)] == [(DONE, number, (b"x" * number,)) for number in range(3)]


@pytest.mark.parametrize("sent", [b"", b"\x01", struct.pack("<BdI", 1, 0, 2) + struct.pack("<2Q", 1, 10) + b"abc"])
def test_an_end_in_the_middle_of_a_message_is_noticed(pair: tuple[socket.socket, socket.socket], sent: bytes) -> None:
    pair[0].sendall(sent)
    pair[0].close()
    with pytest.raises(Closed):
        receive(pair[1])


@pytest.mark.parametrize("head", [struct.pack("<BdI", 1, 0, MOST_PARTS + 1), struct.pack("<BdI", 1, 0, 1) + struct.pack("<Q", 1 << 40)])
def test_what_cannot_be_is_not_allocated(pair: tuple[socket.socket, socket.socket], head: bytes) -> None:
    pair[0].sendall(head)
    with pytest.raises(Closed):
        receive(pair[1])


def test_writing_to_nobody_is_noticed(pair: tuple[socket.socket, socket.socket]) -> None:
    pair[1].close()
    with pytest.raises(Closed):
        send(pair[0], DONE, 0, (b"x" * 10_000_000,))


@pytest.mark.parametrize(
    "error",
    [
        InvalidArgument("TRUNCATED", "cut", field="sample", violations=[FieldViolation("a.b", "wrong", "WHY")], metadata={"a": "b"}),
        ResourceExhausted("WORKERS_BUSY", "busy", retry_after=0.5),
        UnknownError("ODD", "odd"),
    ],
)
def test_an_error_comes_out_of_its_status_as_it_went_in(error: MeshError) -> None:
    found = from_status(to_status(error))
    assert type(found) is type(error)
    assert vars(found) == vars(error)
