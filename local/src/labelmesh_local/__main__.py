"""`python -m labelmesh_local up|down|status|logs|reset|backup|restore|client`: what `./mesh` hands over to."""

from __future__ import annotations

import argparse
import errno
import os
import sys
import traceback
from pathlib import Path

from labelmesh_local import backups, commands
from labelmesh_local.errors import DiskFull, LocalError
from labelmesh_local.home import Home
from labelmesh_local.up import Wishes, up, up_detached


def _port(text: str) -> int:
    port = int(text) if text.isdigit() else 0
    if not 1 <= port <= 65535:
        raise argparse.ArgumentTypeError(f"{text} is no port: it must be between 1 and 65535")
    return port


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="./mesh")
    commands = parser.add_subparsers(dest="command", required=True)
    up_parser = commands.add_parser("up", help="start everything")
    up_parser.add_argument("--port", type=_port, default=8080, help="where the gateway listens on 127.0.0.1 (default 8080)")
    up_parser.add_argument("--detach", action="store_true", help="return when it runs, and leave it in the background")
    up_parser.add_argument("--no-demo", action="store_true", help="no guest account, no demo digits")
    up_parser.add_argument("--no-models", action="store_true", help="no model server and no training: saves 600 MB of memory")
    up_parser.add_argument("--detached-child", action="store_true", help=argparse.SUPPRESS)
    commands.add_parser("down", help="stop it")
    status_parser = commands.add_parser("status", help="what runs, where, since when")
    status_parser.add_argument("--json", action="store_true")
    logs_parser = commands.add_parser("logs", help="what the parts wrote")
    logs_parser.add_argument("part", nargs="?")
    logs_parser.add_argument("-f", "--follow", action="store_true")
    logs_parser.add_argument("-n", "--lines", type=int, default=40)
    reset_parser = commands.add_parser("reset", help="give up all data")
    reset_parser.add_argument("--yes", action="store_true")
    backup_parser = commands.add_parser("backup", help="back up everything, while it runs or not")
    backup_parser.add_argument("folder", nargs="?", help="a folder, or s3://BUCKET/PREFIX; by default backups/ beside the data")
    backup_parser.add_argument("--keep", type=int, metavar="N", help="afterwards remove all but the newest N")
    backup_parser.add_argument("--metrics-file", metavar="FILE", help="for node exporter's textfile collector")
    restore_parser = commands.add_parser("restore", help="restore a backup into a home without data, and compare")
    restore_parser.add_argument("folder", help="where the backups lie")
    restore_parser.add_argument("--backup", metavar="ID", help="which; by default the newest")
    restore_parser.add_argument("--force", action="store_true", help="give up what is there")
    return parser


def _run(arguments: list[str]) -> int:
    house = Path(os.environ.get("LABELMESH_HOUSE") or Path.cwd()).resolve()
    home = Home(Path(os.environ.get("LABELMESH_HOME") or house / ".labelmesh").resolve())
    if arguments[:1] == ["client"]:
        return commands.client(home, arguments[1:])
    options = _parser().parse_args(arguments)
    if options.command == "up":
        wishes = Wishes(options.port, demo=not options.no_demo, models=not options.no_models)
        return up_detached(home, house, wishes) if options.detach else up(home, house, wishes, detached=options.detached_child)
    if options.command == "down":
        return commands.down(home)
    if options.command == "status":
        return commands.status(home, as_json=options.json)
    if options.command == "logs":
        return commands.logs(home, options.part, follow=options.follow, lines=options.lines)
    if options.command == "backup":
        return backups.backup(home, options.folder, keep=options.keep, metrics_file=options.metrics_file)
    if options.command == "restore":
        return backups.restore(home, options.folder, backup=options.backup, force=options.force)
    return commands.reset(home, yes=options.yes)


def main() -> int:
    """Runs one command; troubles are sentences on stderr, and the exit code says which."""
    try:
        return _run(sys.argv[1:])
    except LocalError as error:
        print(f"mesh: {error}", file=sys.stderr)
        return error.exit_code
    except BrokenPipeError:
        return 0
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        print("mesh: The disk is full.", file=sys.stderr)
        return DiskFull.exit_code
    except KeyboardInterrupt:
        return 130
    except Exception:
        traceback.print_exc()
        print("mesh: This is a fault of labelmesh itself; the lines above say where.", file=sys.stderr)
        return 70


if __name__ == "__main__":
    sys.exit(main())
