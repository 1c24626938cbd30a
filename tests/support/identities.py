"""Callers' identities as the edge signs them, and the address where services find the key."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import jwt
from cryptography.hazmat.primitives.asymmetric import ec
from labelmesh_chassis.identity import Identity, issue_identity

KEY_ID = "test"


class Signer:
    """Stands for auth: signs who is calling."""

    def __init__(self) -> None:
        self.private_key = ec.generate_private_key(ec.SECP256R1())

    def public_key(self, key_id: str) -> ec.EllipticCurvePublicKey | None:
        """The key source of a service that believes this signer."""
        return self.private_key.public_key() if key_id == KEY_ID else None

    def sign(self, identity: Identity, *, now: float | None = None, lifetime_s: int = 60) -> str:
        """A statement valid for a minute."""
        return issue_identity(
            identity, key_id=KEY_ID, private_key=self.private_key, now=time.time() if now is None else now, lifetime_s=lifetime_s
        )


@contextmanager
def jwks_server(signer: Signer) -> Iterator[str]:
    """Serves the signer's public key as auth does."""
    key = jwt.algorithms.ECAlgorithm(jwt.algorithms.ECAlgorithm.SHA256).to_jwk(signer.private_key.public_key(), as_dict=True)
    document = json.dumps({"keys": [{**key, "kid": KEY_ID}]}).encode()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("content-length", str(len(document)))
            self.end_headers()
            self.wfile.write(document)

        def log_message(self, format: str, *args: object) -> None:
            """Nobody reads it."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/.well-known/jwks.json"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
