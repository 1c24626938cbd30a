"""`labelmesh projects`."""

from __future__ import annotations

import argparse
from pathlib import Path

from labelmesh_client.command.access import open_client
from labelmesh_client.command.arguments import Commands, add_command, add_group, add_json_argument
from labelmesh_client.command.terminal import Terminal
from labelmesh_client.errors import ConfigurationError
from labelmesh_client.projects import classes_from_names


def add(commands: Commands[argparse.ArgumentParser]) -> None:
    group = add_group(commands, "projects", "List, make, close and open projects.")
    add_json_argument(add_command(group, "list", "Projects you may see, newest first.", list_projects))
    create = add_command(
        group,
        "create",
        "Make a project.",
        create_project,
        examples=('labelmesh projects create "Camera traps" --classes "fox,red deer,badger,nothing" --repeat-rate 0.1',),
    )
    create.add_argument("name", metavar="NAME")
    classes = create.add_mutually_exclusive_group(required=True)
    classes.add_argument("--classes", metavar="A,B,C", help="the names of the classes; the first ten get the keys 1 to 9 and 0")
    classes.add_argument("--classes-file", metavar="FILE", type=Path, help="the names of the classes, one a line")
    create.add_argument("--description", metavar="TEXT", default="")
    create.add_argument("--restricted", action="store_true", help="only for accounts and keys that name the project, and managers")
    create.add_argument("--repeat-rate", metavar="SHARE", type=float, help="share of images shown again, 0 to 0.5 (default: 0.2)")
    create.add_argument("--suggestion-model", metavar="NAME", default="", help="the model whose suggestions annotators may be shown")
    create.add_argument("--lease-seconds", metavar="S", type=float, help="how long an image is held, 1 to 3600 (default: 120)")
    add_json_argument(create)
    for name, summary, handler in (
        ("close", "Hand out no more images; what is out may still be labeled.", close_project),
        ("open", "Hand out images again.", open_project),
    ):
        add_command(group, name, summary, handler).add_argument("project", metavar="PROJECT", help="by name or id")


def list_projects(arguments: argparse.Namespace, terminal: Terminal) -> int:
    with open_client(arguments, terminal.environment) as client:
        facts = [project.facts for project in client.projects()]
    if arguments.json:
        for one in facts:
            terminal.print_json(one)
        return 0
    rows = [
        (one.display_name, one.state, f"{one.images_count:,}", f"{one.completed_count:,}", str(len(one.classes)), one.id) for one in facts
    ]
    terminal.table(("NAME", "STATE", "IMAGES", "LABELED", "CLASSES", "ID"), rows, right=(2, 3, 4))
    return 0


def create_project(arguments: argparse.Namespace, terminal: Terminal) -> int:
    try:
        names = arguments.classes.split(",") if arguments.classes else arguments.classes_file.read_text(encoding="utf-8").splitlines()
        classes = classes_from_names(name for name in names if name.strip())
    except OSError as error:
        raise ConfigurationError(f"{arguments.classes_file} cannot be read: {error.strerror or error}.") from None
    except ValueError as error:
        raise ConfigurationError(f"These classes make no sense: {error}.") from None
    with open_client(arguments, terminal.environment) as client:
        project = client.create_project(
            arguments.name,
            classes,
            description=arguments.description,
            restricted=arguments.restricted,
            repeat_rate=arguments.repeat_rate,
            lease_duration_s=arguments.lease_seconds,
            suggestion_model=arguments.suggestion_model,
        )
    if arguments.json:
        terminal.print_json(project.facts)
    else:
        terminal.say(f"Made the project “{project.display_name}”.")
        terminal.print(project.id)
    return 0


def close_project(arguments: argparse.Namespace, terminal: Terminal) -> int:
    with open_client(arguments, terminal.environment) as client:
        project = client.project(arguments.project)
        project.close()
    terminal.say(f"The project “{project.display_name}” is closed.")
    return 0


def open_project(arguments: argparse.Namespace, terminal: Terminal) -> int:
    with open_client(arguments, terminal.environment) as client:
        project = client.project(arguments.project)
        project.open()
    terminal.say(f"The project “{project.display_name}” is open.")
    return 0
