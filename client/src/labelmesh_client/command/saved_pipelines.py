"""`labelmesh augment pipelines`: those that projects keep."""

from __future__ import annotations

import argparse
import json

from labelmesh_client.command.access import open_client
from labelmesh_client.command.arguments import Commands, add_command, add_json_argument, not_negative
from labelmesh_client.command.pipeline_arguments import pipeline_of
from labelmesh_client.command.terminal import Terminal, shown_time


def add(group: Commands[argparse.ArgumentParser]) -> None:
    parser = group.add_parser("pipelines", help="Pipelines that projects keep.", description="Pipelines that projects keep, by version.")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    listing = add_command(commands, "list", "The pipelines of a project, or the versions of one.", list_pipelines)
    listing.add_argument("project", metavar="PROJECT", help="the project, by name or id")
    listing.add_argument("name", metavar="NAME", nargs="?", default="", help="all versions of this one")
    add_json_argument(listing)
    save = add_command(
        commands,
        "save",
        "Save a pipeline as the next version of a name.",
        save_pipeline,
        more="The newest version saved again stays as it is.",
        examples=('labelmesh augment pipelines save "Camera traps" night p.json --note "more noise"',),
    )
    save.add_argument("project", metavar="PROJECT", help="the project, by name or id")
    save.add_argument("name", metavar="NAME", help="small letters, digits, and _.- between them")
    save.add_argument("pipeline", metavar="FILE", help="the pipeline, JSON; - for stdin")
    save.add_argument("--note", metavar="TEXT", default="", help="what is new in it, or what it is for")
    save.add_argument(
        "--after", metavar="N", type=not_negative, default=0, help="only if version N still is the newest (default: in any case)"
    )
    save.set_defaults(saved=None)
    show = add_command(
        commands,
        "show",
        "Print a pipeline as JSON.",
        show_pipeline,
        examples=('labelmesh augment pipelines show "Camera traps" night --version 2 > p.json',),
    )
    show.add_argument("project", metavar="PROJECT", help="the project, by name or id")
    show.add_argument("name", metavar="NAME")
    show.add_argument("--version", metavar="N", type=not_negative, default=0, help="this one (default: the newest)")
    add_json_argument(show)
    delete = add_command(
        commands,
        "delete",
        "Take a name off the list.",
        delete_pipeline,
        more="Its versions can still be got by number, and saving the name again goes on counting.",
    )
    delete.add_argument("project", metavar="PROJECT", help="the project, by name or id")
    delete.add_argument("name", metavar="NAME")


def list_pipelines(arguments: argparse.Namespace, terminal: Terminal) -> int:
    with open_client(arguments, terminal.environment) as client:
        found = list(client.pipelines.list(client.project(arguments.project).id, arguments.name))
    if arguments.json:
        for one in found:
            terminal.print_json({**vars(one), "pipeline": one.pipeline.to_json()})
        return 0
    rows = [(one.name, str(one.version), str(len(one.pipeline.steps)), shown_time(one.create_time), one.note) for one in found]
    terminal.table(("NAME", "VERSION", "STEPS", "SAVED", "NOTE"), rows, right=(1, 2))
    return 0


def save_pipeline(arguments: argparse.Namespace, terminal: Terminal) -> int:
    with open_client(arguments, terminal.environment) as client:
        pipeline = pipeline_of(client, arguments, terminal)
        project = client.project(arguments.project)
        saved = client.pipelines.save(project.id, arguments.name, pipeline, note=arguments.note, previous_version=arguments.after)
    terminal.print(f"“{saved.name}” of “{project.display_name}” is at version {saved.version}")
    return 0


def show_pipeline(arguments: argparse.Namespace, terminal: Terminal) -> int:
    with open_client(arguments, terminal.environment) as client:
        saved = client.pipelines.get(client.project(arguments.project).id, arguments.name, arguments.version)
    if arguments.json:
        terminal.print_json({**vars(saved), "pipeline": saved.pipeline.to_json()})
    else:
        terminal.print(json.dumps(saved.pipeline.to_json(), indent=2, ensure_ascii=False))
    return 0


def delete_pipeline(arguments: argparse.Namespace, terminal: Terminal) -> int:
    with open_client(arguments, terminal.environment) as client:
        project = client.project(arguments.project)
        client.pipelines.delete(project.id, arguments.name)
    terminal.print(f"“{arguments.name}” is off the list of “{project.display_name}”")
    return 0
