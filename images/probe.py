"""Asks a gRPC server for its health: `python -I -S probe.py [PORT]`; exit status 0 if it serves.

gRPC's own package takes a quarter of a second to import; a check that runs every few seconds in every container must not. This one speaks
just the HTTP/2 (RFC 9113) that one unary call of grpc.health.v1.Health needs, with nothing but a socket.
"""

from __future__ import annotations

import socket
import sys

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY = 0x0, 0x1, 0x3, 0x4, 0x6, 0x7
ACK = END_STREAM = 0x1
END_HEADERS = 0x4
SERVING = b"\x00\x00\x00\x00\x02\x08\x01"
"""HealthCheckResponse(status=SERVING), uncompressed, behind its length."""
_MOST_BYTES = 1 << 16


def frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    """A frame: 24 bits of length, type, flags, 31 bits of stream."""
    return len(payload).to_bytes(3, "big") + bytes((kind, flags)) + stream.to_bytes(4, "big") + payload


def field(name: bytes, value: bytes) -> bytes:
    """A header as HPACK's literal without indexing, new name, no Huffman code (RFC 7541, 6.2.2)."""
    return b"\x00" + bytes((len(name),)) + name + bytes((len(value),)) + value


def request(authority: bytes) -> bytes:
    """Everything that the client has to say: preface, settings, headers and an empty HealthCheckRequest."""
    headers = [(b":method", b"POST"), (b":scheme", b"http"), (b":path", b"/grpc.health.v1.Health/Check"), (b":authority", authority)]
    headers += [(b"content-type", b"application/grpc"), (b"te", b"trailers"), (b"grpc-timeout", b"3S")]
    block = b"".join(field(name, value) for name, value in headers)
    head = frame(SETTINGS, 0, 0, b"") + frame(HEADERS, END_HEADERS, 1, block)
    return PREFACE + head + frame(DATA, END_STREAM, 1, b"\x00\x00\x00\x00\x00")


def serves(host: str, port: int, timeout: float = 3.0) -> bool:
    """Whether the server says that it serves. Raises OSError where there is none."""
    with socket.create_connection((host, port), timeout=timeout) as connection:
        connection.settimeout(timeout)
        connection.sendall(request(f"{host}:{port}".encode()))
        got, answer, taken = b"", b"", 0
        while taken < _MOST_BYTES:
            while len(got) < 9 or len(got) < 9 + int.from_bytes(got[:3], "big"):
                more = connection.recv(4096)
                if not more:
                    return False
                got += more
            length, kind, flags = int.from_bytes(got[:3], "big"), got[3], got[4]
            stream, payload, got = int.from_bytes(got[5:9], "big") & 0x7FFFFFFF, got[9 : 9 + length], got[9 + length :]
            taken += 9 + length
            if kind == SETTINGS and not flags & ACK:
                connection.sendall(frame(SETTINGS, ACK, 0, b""))
            elif kind == PING and not flags & ACK:
                connection.sendall(frame(PING, ACK, 0, payload))
            elif kind == GOAWAY or (kind == RST_STREAM and stream == 1):
                return answer == SERVING
            elif kind == DATA and stream == 1:
                answer += payload
            if kind in (DATA, HEADERS) and stream == 1 and flags & END_STREAM:
                return answer == SERVING
    return False


if __name__ == "__main__":
    try:
        sys.exit(0 if serves("127.0.0.1", int(sys.argv[1]) if len(sys.argv) > 1 else 9200) else 1)
    except OSError as problem:
        sys.exit(f"no answer: {problem}")
