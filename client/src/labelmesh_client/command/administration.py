"""`labelmesh keys` and `labelmesh users`: for managers and admins, signed in as people."""

from __future__ import annotations

import argparse
import re
from datetime import UTC, datetime, timedelta

from labelmesh_client.accounts import SCOPES, ApiKeyFacts, Role, User
from labelmesh_client.command.access import open_client
from labelmesh_client.command.arguments import Commands, add_command, add_group, add_json_argument
from labelmesh_client.command.terminal import Terminal, shown_time

_UNITS = {"h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}


def add(commands: Commands[argparse.ArgumentParser]) -> None:
    _add_keys(add_group(commands, "keys", "API keys for programs."))
    _add_users(add_group(commands, "users", "Accounts of people (for admins)."))


def _add_keys(group: Commands[argparse.ArgumentParser]) -> None:
    create = add_command(
        group,
        "create",
        "Make an API key. It is printed this once.",
        create_key,
        more="No key may administer keys or accounts.",
        examples=("labelmesh keys create trainer --scope labeling.read --scope labeling.prioritize --expires 90d > key.txt",),
    )
    create.add_argument("name", metavar="NAME", help="what it is for")
    create.add_argument(
        "--scope", metavar="SCOPE", action="append", required=True, choices=SCOPES, help=f"may be repeated: {', '.join(SCOPES)}"
    )
    create.add_argument(
        "--project", metavar="PROJECT", action="append", default=[], help="only this project, by name or id; may be repeated"
    )
    create.add_argument("--expires", metavar="TIME", type=lifetime, help="after this long, e.g. 12h, 30d, 4w (default: never)")
    add_json_argument(create)
    add_json_argument(add_command(group, "list", "Keys, newest first: your own, or everybody's for admins.", list_keys))
    revoke = add_command(group, "revoke", "End a key at once and for good.", revoke_key)
    revoke.add_argument("key", metavar="ID")


def _add_users(group: Commands[argparse.ArgumentParser]) -> None:
    add_list = add_command(group, "list", "Accounts by name.", list_users)
    add_list.add_argument("--query", metavar="TEXT", default="", help="only those whose name contains this")
    add_json_argument(add_list)
    create = add_command(
        group,
        "create",
        "Make an account.",
        create_user,
        examples=(
            "labelmesh users create ada --role annotator",
            "labelmesh users create ada --role annotator --password-stdin < password.txt",
        ),
    )
    create.add_argument("name", metavar="NAME")
    create.add_argument("--role", choices=[role.value for role in Role], default=Role.ANNOTATOR.value, help="default: annotator")
    create.add_argument("--display-name", metavar="TEXT", default="")
    create.add_argument(
        "--project", metavar="PROJECT", action="append", default=[], help="a restricted project it may see; may be repeated"
    )
    create.add_argument("--password-stdin", action="store_true", help="read the password from the first line of stdin")
    password = add_command(group, "set-password", "Set a new password and end all sessions of the account.", set_password)
    password.add_argument("name", metavar="NAME")
    password.add_argument("--password-stdin", action="store_true", help="read the password from the first line of stdin")
    role = add_command(group, "set-role", "Change what an account may do.", set_role)
    role.add_argument("name", metavar="NAME")
    role.add_argument("role", choices=[each.value for each in Role])
    for name, summary, handler in (
        ("disable", "End all sessions and keys of an account and let it sign in no more.", disable_user),
        ("enable", "Let a disabled account sign in again.", enable_user),
    ):
        add_command(group, name, summary, handler).add_argument("name", metavar="NAME")


def lifetime(text: str) -> timedelta:
    """`12h`, `30d` or `4w`. Raises ValueError."""
    match = re.fullmatch(r"([1-9][0-9]{0,4})([hdw])", text)
    if match is None:
        raise ValueError(text)
    return int(match[1]) * _UNITS[match[2]]


def create_key(arguments: argparse.Namespace, terminal: Terminal) -> int:
    expires = datetime.now(UTC) + arguments.expires if arguments.expires else None
    with open_client(arguments, terminal.environment) as client:
        projects = [client.project(project).id for project in arguments.project]
        key, secret = client.api_keys.create(
            arguments.name, list(dict.fromkeys(arguments.scope)), project_ids=list(dict.fromkeys(projects)), expire_time=expires
        )
    if arguments.json:
        terminal.print_json({"api_key": key, "secret": secret})
        return 0
    terminal.say(f"Made the key “{key.display_name}” ({key.id}). This is the only time it is shown:")
    terminal.print(secret)
    return 0


def list_keys(arguments: argparse.Namespace, terminal: Terminal) -> int:
    with open_client(arguments, terminal.environment) as client:
        keys = list(client.api_keys.list())
    if arguments.json:
        for key in keys:
            terminal.print_json(key)
        return 0
    rows = [
        (key.display_name, key.prefix + "...", _key_state(key), ",".join(key.scopes), shown_time(key.last_use_time, "never"), key.id)
        for key in keys
    ]
    terminal.table(("NAME", "KEY", "STATE", "SCOPES", "LAST USED", "ID"), rows)
    return 0


def _key_state(key: ApiKeyFacts) -> str:
    if key.revoke_time is not None:
        return "revoked"
    if key.expire_time is None:
        return "valid"
    return "expired" if key.expire_time <= datetime.now(UTC) else f"until {shown_time(key.expire_time)}"


def revoke_key(arguments: argparse.Namespace, terminal: Terminal) -> int:
    with open_client(arguments, terminal.environment) as client:
        key = client.api_keys.revoke(arguments.key)
    terminal.say(f"The key “{key.display_name}” is revoked.")
    return 0


def list_users(arguments: argparse.Namespace, terminal: Terminal) -> int:
    with open_client(arguments, terminal.environment) as client:
        users = list(client.users.list(arguments.query))
    if arguments.json:
        for user in users:
            terminal.print_json(user)
        return 0
    rows = [
        (user.name, user.role or "-", _user_state(user), shown_time(user.last_sign_in_time, "never"), user.display_name) for user in users
    ]
    terminal.table(("NAME", "ROLE", "STATE", "LAST SIGN-IN", "DISPLAY NAME"), rows)
    return 0


def _user_state(user: User) -> str:
    return "disabled" if user.disabled else "enabled"


def create_user(arguments: argparse.Namespace, terminal: Terminal) -> int:
    password = terminal.ask_password(f"Password for {arguments.name}: ", from_stdin=arguments.password_stdin)
    with open_client(arguments, terminal.environment) as client:
        projects = [client.project(project).id for project in arguments.project]
        user = client.users.create(
            arguments.name, password, Role(arguments.role), display_name=arguments.display_name, project_ids=list(dict.fromkeys(projects))
        )
    terminal.say(f"Made the account “{user.name}” ({user.role}).")
    return 0


def set_password(arguments: argparse.Namespace, terminal: Terminal) -> int:
    password = terminal.ask_password(f"New password for {arguments.name}: ", from_stdin=arguments.password_stdin)
    with open_client(arguments, terminal.environment) as client:
        client.users.set_password(client.users.by_name(arguments.name).id, password)
    terminal.say(f"The account “{arguments.name}” has a new password; its sessions have ended.")
    return 0


def set_role(arguments: argparse.Namespace, terminal: Terminal) -> int:
    with open_client(arguments, terminal.environment) as client:
        user = client.users.set_role(client.users.by_name(arguments.name).id, Role(arguments.role))
    terminal.say(f"The account “{user.name}” is now {user.role}.")
    return 0


def disable_user(arguments: argparse.Namespace, terminal: Terminal) -> int:
    return _set_disabled(arguments, terminal, True)


def enable_user(arguments: argparse.Namespace, terminal: Terminal) -> int:
    return _set_disabled(arguments, terminal, False)


def _set_disabled(arguments: argparse.Namespace, terminal: Terminal, disabled: bool) -> int:
    with open_client(arguments, terminal.environment) as client:
        user = client.users.set_disabled(client.users.by_name(arguments.name).id, disabled)
    terminal.say(f"The account “{user.name}” is {_user_state(user)}.")
    return 0
