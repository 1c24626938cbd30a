"""`labelmesh images`."""

from __future__ import annotations

import argparse
from itertools import islice

from labelmesh_client.command.access import open_client
from labelmesh_client.command.arguments import Commands, add_command, add_group, add_json_argument, add_project_argument, positive
from labelmesh_client.command.terminal import Terminal


def add(commands: Commands[argparse.ArgumentParser]) -> None:
    group = add_group(commands, "images", "Look at the images of a project.")
    parser = add_command(
        group,
        "list",
        "Images in the order they came.",
        list_images,
        examples=("labelmesh images list --project digits --limit 20", "labelmesh images list --project digits --json > images.jsonl"),
    )
    add_project_argument(parser)
    parser.add_argument("--limit", metavar="N", type=positive, help="only the first N")
    add_json_argument(parser)


def list_images(arguments: argparse.Namespace, terminal: Terminal) -> int:
    with open_client(arguments, terminal.environment) as client:
        images = islice(client.project(arguments.project).images(), arguments.limit)
        if arguments.json:
            for image in images:
                terminal.print_json(image)
            return 0
        terminal.print(f"{'ID':36}  {'SIZE':>11}  {'PRIORITY':>8}  LABELED  NAME")
        for image in images:
            size = f"{image.width}x{image.height}"
            terminal.print(f"{image.id:36}  {size:>11}  {image.priority:>8g}  {'yes' if image.completed else 'no':7}  {image.name}")
    return 0
