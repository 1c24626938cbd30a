"""`python -m labelmesh_operations COMMAND`: backup, verify, restore, list, models, secrets."""

from __future__ import annotations

import argparse
import errno
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from labelmesh_operations import metrics, secretfiles
from labelmesh_operations.backup import Source, make_backup
from labelmesh_operations.errors import Damaged, DiskFull, OperationError
from labelmesh_operations.manifest import chosen_backup, read_manifest
from labelmesh_operations.models import StoredModels
from labelmesh_operations.postgres import ServiceDatabase
from labelmesh_operations.progress import Progress, amount
from labelmesh_operations.restore import Destination, Wishes, restore, table
from labelmesh_operations.settings import SERVICES, DatabasesSettings, StoreSettings, load_settings
from labelmesh_operations.storage import Bucket
from labelmesh_operations.target import Target, target_of
from labelmesh_operations.verify import verify

_FINDINGS_STATUS = 9
"""The backup is complete, but something was wrong with the mesh itself."""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="labelmesh-operations", description="Means to operate a labelmesh.")
    parser.add_argument("--quiet", action="store_true", help="say nothing but results and errors")
    commands = parser.add_subparsers(dest="command", required=True)
    where = "a folder, or s3://BUCKET/PREFIX on the server that LABELMESH_OPERATIONS_TARGET_S3_* name"

    backup = commands.add_parser("backup", help="back up the databases, the objects and, where asked, the models")
    backup.add_argument("--to", required=True, metavar="TARGET", help=where)
    backup.add_argument("--models", type=Path, metavar="FOLDER", help="the model repository, if it is a folder here")
    backup.add_argument("--attach", action="append", default=[], metavar="NAME=FILE", help="a further small file; may be repeated")
    backup.add_argument("--keep", type=int, metavar="N", help="afterwards remove all but the newest N backups")
    backup.add_argument("--metrics-file", type=Path, metavar="FILE", help="for node exporter's textfile collector: FOLDER/NAME.prom")

    verifying = commands.add_parser("verify", help="read backups to their last byte and compare with their hashes")
    verifying.add_argument("target", metavar="TARGET", help=where)
    verifying.add_argument("--backup", metavar="ID", help="only this one; by default all")

    restoring = commands.add_parser("restore", help="restore a backup into an empty mesh and compare")
    restoring.add_argument("target", metavar="TARGET", help=where)
    restoring.add_argument("--backup", metavar="ID", help="which; by default the newest")
    restoring.add_argument("--force", action="store_true", help="give up what is there")
    restoring.add_argument("--no-verify", action="store_true", help="do not read the whole backup first")
    restoring.add_argument("--models", type=Path, metavar="FOLDER", help="where the model repository belongs")
    restoring.add_argument("--served-models", metavar="PATH", help="where the model server sees that folder, if elsewhere")
    restoring.add_argument("--attached-to", type=Path, metavar="FOLDER", help="where files of --attach go")
    restoring.add_argument(
        "--keep-signing-keys", action="store_true", help="sessions go on; auth needs the same LABELMESH_KEY_ENCRYPTION_KEY as before"
    )

    listing = commands.add_parser("list", help="the backups that there are")
    listing.add_argument("target", metavar="TARGET", help=where)

    models = commands.add_parser("models", help="the model repository, to and from object storage").add_subparsers(
        dest="way", required=True
    )
    push = models.add_parser("push", help="make the object storage hold what the folder holds")
    push.add_argument("--from", dest="folder", type=Path, required=True, metavar="FOLDER")
    fetch = models.add_parser("fetch", help="make the folder hold what the object storage holds")
    fetch.add_argument("--to", dest="folder", type=Path, required=True, metavar="FOLDER")
    fetch.add_argument("--served-models", metavar="PATH", help="where the model server sees the folder, if elsewhere")
    for one in (push, fetch):
        one.add_argument("--prefix", default="models", help="where in the bucket (default: models)")
        one.add_argument("--delete", action="store_true", help="remove versions that the other side does not have")

    making = commands.add_parser("secrets", help="make the secret files of a new mesh, where they are absent")
    making.add_argument("--to", type=Path, required=True, metavar="FOLDER")
    making.add_argument("--postgres", default="postgres:5432", metavar="HOST:PORT", help="the server as the services see it")
    making.add_argument("--shared", action="store_true", help="files that every account may read; then guard the folder")
    return parser


def _databases() -> list[ServiceDatabase]:
    settings = load_settings(DatabasesSettings)
    return [ServiceDatabase(service, settings.url(service), settings.postgres_bin) for service in SERVICES]


def _bucket() -> Bucket:
    settings = load_settings(StoreSettings)
    return Bucket(
        settings.s3_endpoint,
        settings.s3_access_key,
        settings.s3_secret_key.get_secret_value(),
        settings.s3_bucket,
        region=settings.s3_region,
        secure=settings.s3_secure,
    )


def _backup(options: argparse.Namespace, progress: Progress) -> int:
    attachments = {}
    for text in options.attach:
        name, equals, path = text.partition("=")
        if not equals:
            raise OperationError(f"--attach {text}: write NAME=FILE.")
        attachments[name] = Path(path)
    began = time.monotonic()
    try:
        source = Source(_databases(), _bucket(), options.models, attachments)
        target = target_of(options.to)
        manifest = make_backup(source, target, progress, keep_backups=options.keep)
    except BaseException:
        if options.metrics_file is not None:
            metrics.write(options.metrics_file, metrics.of_failure(options.metrics_file))
        raise
    if options.metrics_file is not None:
        metrics.write(options.metrics_file, metrics.of_success(manifest, time.monotonic() - began))
    print(f"{manifest.id} is complete in {target.where}, after {time.monotonic() - began:.1f} s.")
    if manifest.findings:
        print(f"{len(manifest.findings)} things were wrong with the mesh itself; its manifest lists them.", file=sys.stderr)
        return _FINDINGS_STATUS
    return 0


def _verify(options: argparse.Namespace, progress: Progress) -> int:
    target = target_of(options.target)
    target.check()
    complete, begun = target.backups()
    for backup in begun:
        progress.say(f"  {backup}: was never finished; the next backup removes it")
    chosen = [chosen_backup(target, options.backup)] if options.backup or not complete else complete
    problems = verify(target, chosen, progress)
    if problems:
        raise Damaged("\n".join([f"{len(problems)} problems:", *(f"  {problem}" for problem in problems[:100])]))
    print(f"Whole: {', '.join(chosen)}")
    return 0


def _restore(options: argparse.Namespace, progress: Progress) -> int:
    target = target_of(options.target)
    target.check()
    destination = Destination(_databases(), _bucket(), options.models, options.served_models, options.attached_to)
    wishes = Wishes(force=options.force, verify=not options.no_verify, keep_signing_keys=options.keep_signing_keys)
    backup = chosen_backup(target, options.backup)
    lines = restore(target, backup, destination, wishes, progress)
    print(table(lines))
    print(f"{backup} is restored: all {len(lines)} comparisons are equal.")
    if not options.keep_signing_keys:
        print("All sessions have ended: everybody signs in again. API keys are those of the backup; revoke again what was revoked since.")
    return 0


def _list(options: argparse.Namespace, progress: Progress) -> int:
    target: Target = target_of(options.target)
    target.check()
    complete, begun = target.backups()
    for backup in complete:
        try:
            found = read_manifest(target, backup)
        except Damaged as problem:
            print(f"{backup}  DAMAGED: {problem}")
            continue
        rows = sum(content.rows for dump in found.databases for content in dump.tables.values())
        size = amount(sum(dump.file.size for dump in found.databases))
        words = [f"{rows:,} rows in {size}", f"{found.objects.count:,} objects ({amount(found.objects.bytes)})"]
        words += [f"{found.models.count} files of models"] if found.models else []
        words += [f"{len(found.findings)} FINDINGS"] if found.findings else []
        print(f"{backup}  {', '.join(words)}")
    for backup in begun:
        print(f"{backup}  never finished")
    return 0


def _models(options: argparse.Namespace, progress: Progress) -> int:
    models = StoredModels(_bucket(), options.prefix, progress)
    if options.way == "push":
        models.push(options.folder, delete=options.delete)
    else:
        models.fetch(options.folder, served_path=options.served_models, delete=options.delete)
    return 0


def _secrets(options: argparse.Namespace, progress: Progress) -> int:
    made = secretfiles.make_secrets(options.to, secretfiles.SecretWishes(options.postgres, options.shared))
    print(f"Made {len(made)} secrets in {options.to}." if made else f"All secrets are in {options.to} already.")
    return 0


_COMMANDS = {"backup": _backup, "verify": _verify, "restore": _restore, "list": _list, "models": _models, "secrets": _secrets}


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; troubles are sentences on stderr, and the exit status says which."""
    options = _parser().parse_args(arguments)
    try:
        return _COMMANDS[options.command](options, Progress(quiet=options.quiet))
    except OperationError as error:
        print(f"labelmesh-operations: {error}", file=sys.stderr)
        return error.exit_code
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        print("labelmesh-operations: The disk is full.", file=sys.stderr)
        return DiskFull.exit_code
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
