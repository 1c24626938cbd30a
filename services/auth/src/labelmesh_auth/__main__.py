"""The process: reads settings, builds everything once, serves. The only place where parts are put together."""

from __future__ import annotations

import argparse
import getpass
import sys
from collections.abc import Sequence

from labelmesh.auth.v1 import (
    api_keys_pb2,
    api_keys_pb2_grpc,
    security_pb2,
    security_pb2_grpc,
    sessions_pb2,
    sessions_pb2_grpc,
    users_pb2,
    users_pb2_grpc,
)
from labelmesh_chassis.database import Database
from labelmesh_chassis.errors import MeshError
from labelmesh_chassis.identity import IdentityVerifier, Role
from labelmesh_chassis.measures import Measures
from labelmesh_chassis.ops import OpsReply
from labelmesh_chassis.program import Schema, serve
from labelmesh_chassis.server import MeshServer, ServerBuilder
from labelmesh_chassis.settings import load_settings

from labelmesh_auth import accounts, wire
from labelmesh_auth.audit import SYSTEM
from labelmesh_auth.callers import Callers
from labelmesh_auth.clock import Clock, system_clock
from labelmesh_auth.cookies import SessionCookie
from labelmesh_auth.credentials import Credentials
from labelmesh_auth.edge.admission import Admission
from labelmesh_auth.edge.servicer import CHECK_SERVICE, CheckServicer
from labelmesh_auth.hashing import HashingPool
from labelmesh_auth.keyring import KeyRing
from labelmesh_auth.measures import AuthMeasures
from labelmesh_auth.password_policy import check_password
from labelmesh_auth.periodic import Periodic
from labelmesh_auth.servicer import ApiKeyServicer, SecurityServicer, SessionServicer, UserServicer
from labelmesh_auth.settings import AuthSettings, DatabaseSettings
from labelmesh_auth.signing_keys import KeyVault, WrongEncryptionKey
from labelmesh_auth.sweep import sweep
from labelmesh_auth.tokens import SessionTokens

SCHEMA = Schema("labelmesh_auth.migrations", 0x6C6D61757468)
# Envoy's own timeout for a check; waiting longer would be for nobody.
_CHECK_TIMEOUT_S = 2.0
# Gateways keep the JWKS this long; far below the overlap of a rotation.
_JWKS_CACHE_CONTROL = "public, max-age=60"


def build_server(settings: AuthSettings, *, clock: Clock = system_clock) -> MeshServer:
    """Everything that `serve` runs, ready to start on a migrated database. Tests pass a clock of their own."""
    url = settings.database_url.get_secret_value()
    database = Database(url, application_name="labelmesh-auth", pool_size=settings.database_pool_size)
    # The edge's checks have connections of their own, so that nothing else here can keep them waiting.
    check_database = Database(
        url,
        application_name="labelmesh-auth-checks",
        pool_size=settings.database_pool_size,
        durable=False,
        statement_timeout_s=_CHECK_TIMEOUT_S,
    )
    vault = KeyVault(settings.encryption_key)
    keys = KeyRing(database, vault, clock)
    keys.open()

    verifier = IdentityVerifier(keys, clock=lambda: clock().timestamp())
    builder = ServerBuilder("auth", settings, verifier=verifier)
    measures = Measures(builder.registry)
    measures.database("main", database)
    measures.database("checks", check_database)
    limits = settings.session_limits
    own = AuthMeasures(builder.registry, database, keys, limits, clock)
    hashing = HashingPool(workers=settings.password_hash_workers, queue=settings.password_hash_queue, observe=own.hashed)
    credentials = Credentials(database, hashing, settings.throttle_limits, limits, clock, own.signed_in)
    tokens = SessionTokens(keys, clock)
    cookie = SessionCookie(secure=settings.cookie_secure)
    admission = Admission(wire.contract_methods(), tokens, Callers(check_database, limits), keys, clock)

    session_servicer = SessionServicer(database, credentials, tokens, cookie, limits, clock)
    builder.add(
        sessions_pb2.DESCRIPTOR.services_by_name["SessionService"], sessions_pb2_grpc.add_SessionServiceServicer_to_server, session_servicer
    )
    user_servicer = UserServicer(database, credentials, clock)
    builder.add(users_pb2.DESCRIPTOR.services_by_name["UserService"], users_pb2_grpc.add_UserServiceServicer_to_server, user_servicer)
    key_servicer = ApiKeyServicer(database, clock)
    builder.add(
        api_keys_pb2.DESCRIPTOR.services_by_name["ApiKeyService"], api_keys_pb2_grpc.add_ApiKeyServiceServicer_to_server, key_servicer
    )
    security_servicer = SecurityServicer(database, keys, vault, settings.rotation_times, clock)
    builder.add(
        security_pb2.DESCRIPTOR.services_by_name["SecurityService"],
        security_pb2_grpc.add_SecurityServiceServicer_to_server,
        security_servicer,
    )
    builder.add_unauthenticated_service(CHECK_SERVICE, CheckServicer(admission, cookie, builder.registry).register)
    builder.ops_route("/.well-known/jwks.json", lambda: OpsReply(200, "application/json", keys.jwks(), _JWKS_CACHE_CONTROL))
    builder.check("database", database.is_up)

    background = (
        Periodic("signing-keys", settings.key_refresh_seconds, keys.refresh),
        Periodic("sweep", settings.sweep_seconds, lambda: sweep(database, settings.retention, clock)),
    )
    for close in (database.close, check_database.close, hashing.close, own.readings.stop, *(task.stop for task in background)):
        builder.on_stop(close)
    server = builder.build()
    for task in background:
        task.start()
    own.readings.start()
    return server


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a subcommand; the exit status."""
    parser = argparse.ArgumentParser(prog="labelmesh-auth", description="Accounts, sessions, API keys and the edge's authorization check.")
    commands = parser.add_subparsers(dest="command")
    commands.add_parser("serve", help="migrate the database and serve (the default)")
    commands.add_parser("migrate", help="migrate the database")
    creating = commands.add_parser("create-user", help="make an account directly in the database; says so when there is one of that name")
    creating.add_argument("--name", required=True)
    creating.add_argument("--display-name", default="")
    creating.add_argument("--role", required=True, choices=[role.value for role in Role])
    creating.add_argument("--password-stdin", action="store_true", help="read the password from the first line of standard input")
    creating.add_argument("--demo", action="store_true", help="shared, and with a weak password; only with LABELMESH_LOCAL_DEMO=true")
    options = parser.parse_args(arguments)
    try:
        if options.command == "create-user":
            return _create_user(load_settings(DatabaseSettings), options)
        if options.command == "migrate":
            SCHEMA.migrate(load_settings(DatabaseSettings).database_url.get_secret_value())
            return 0
        serve("auth", load_settings(AuthSettings), SCHEMA, build_server)
        return 0
    except MeshError as error:
        sys.stderr.write(f"{error.message}\n")
    except WrongEncryptionKey as error:
        sys.stderr.write(f"LABELMESH_KEY_ENCRYPTION_KEY: {error}\n")
    return 1


def _create_user(settings: DatabaseSettings, options: argparse.Namespace) -> int:
    if options.demo and not settings.local_demo:
        sys.stderr.write("--demo is for a local mesh alone: LABELMESH_LOCAL_DEMO is not true\n")
        return 2
    url = settings.database_url.get_secret_value()
    SCHEMA.prepare(url, migrate_at_start=settings.migrate_at_start)
    database = Database(url, application_name="labelmesh-auth-create-user", pool_size=1)
    hashing = HashingPool(workers=1, queue=0)
    try:
        with database.transaction() as db:
            known = accounts.find_by_name(db, options.name)
        if known is not None:
            sys.stdout.write(f"there is an account {known.name} already\n")
            return 0
        password = sys.stdin.readline().rstrip("\r\n") if options.password_stdin else getpass.getpass(f"Password of {options.name}: ")
        if not options.demo:
            check_password(password, name=options.name, field="password")
        elif not password:
            sys.stderr.write("the password is empty\n")
            return 2
        new = accounts.NewUser(options.name, options.display_name, Role(options.role), hashing.hash(password), shared=options.demo)
        with database.transaction() as db:
            user = accounts.create(db, new, SYSTEM, system_clock())
        sys.stdout.write(f"made the account {user.name} ({user.role.value})\n")
        return 0
    finally:
        hashing.close()
        database.close()


if __name__ == "__main__":
    sys.exit(main())
