"""`labelmesh sign-in` and `labelmesh sign-out`."""

from __future__ import annotations

import argparse

from labelmesh_client.address import Address
from labelmesh_client.client import Client
from labelmesh_client.command.access import SessionFile, StoredSession, address_of, open_client
from labelmesh_client.command.arguments import Commands, add_command
from labelmesh_client.command.terminal import Terminal
from labelmesh_client.credentials import SessionToken
from labelmesh_client.errors import ConfigurationError, Unauthenticated


def add(commands: Commands[argparse.ArgumentParser]) -> None:
    parser = add_command(
        commands,
        "sign-in",
        "Sign in as a person and remember the session on this machine.",
        sign_in,
        more="The session ends by itself after some time without activity; programs use API keys.",
        examples=("labelmesh sign-in --user guest", "labelmesh sign-in --user guest --password-stdin < password.txt"),
    )
    parser.add_argument("--user", metavar="NAME", help="the account (default: $LABELMESH_USER, else it is asked for)")
    parser.add_argument("--password-stdin", action="store_true", help="read the password from the first line of stdin")
    add_command(commands, "sign-out", "End the remembered session, here and on the server.", sign_out)


def sign_in(arguments: argparse.Namespace, terminal: Terminal) -> int:
    address = address_of(arguments, terminal.environment)
    user = arguments.user or terminal.environment.get("LABELMESH_USER") or _ask_user(terminal, arguments.password_stdin)
    password = terminal.ask_password(f"Password of {user} at {address.origin}: ", from_stdin=arguments.password_stdin)
    with open_client(arguments, terminal.environment, anonymous=True) as client:
        session = client.sign_in(user, password)
    SessionFile.of(terminal.environment).put(address, StoredSession(session.user, session.token))
    ends = f" The session ends after {session.idle_timeout_s:g} s without activity." if session.idle_timeout_s else ""
    terminal.say(f"Signed in as {session.user} at {address.origin}.{ends}")
    return 0


def _ask_user(terminal: Terminal, password_on_stdin: bool) -> str:
    if password_on_stdin or not terminal.stdin.isatty():
        raise ConfigurationError("Whose password is it? Give the account with --user.")
    terminal.stderr.write("Account: ")
    terminal.stderr.flush()
    name = terminal.stdin.readline().strip()
    if not name:
        raise ConfigurationError("No account was given.")
    return name


def sign_out(arguments: argparse.Namespace, terminal: Terminal) -> int:
    address: Address = address_of(arguments, terminal.environment)
    sessions = SessionFile.of(terminal.environment)
    stored = sessions.get(address)
    if stored is None:
        terminal.say(f"Nobody is signed in at {address.origin}.")
        return 0
    ca_file = arguments.ca_file or terminal.environment.get("LABELMESH_CA_FILE") or None
    try:
        with Client(address, SessionToken(stored.token), patience_s=0, ca_file=ca_file) as client:
            client.sign_out()
    except Unauthenticated:
        pass  # it had ended already
    finally:
        sessions.remove(address)
    terminal.say(f"Signed out {stored.user} at {address.origin}.")
    return 0
