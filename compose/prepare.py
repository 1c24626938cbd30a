"""Before anything starts: the mesh's secrets where there are none, and volumes that belong to the account that writes to them.

Files under /given (LABELMESH_SECRETS_FROM) go first: /given/postgres/superuser_password becomes that secret, if there is none yet.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from labelmesh_operations.__main__ import main as operations
from labelmesh_operations.modelfolder import EMPTY_CONFIG

SECRETS = Path("/secrets")
GIVEN = Path("/given")
OWNED = Path("/owned")
USER = 10001


def take_given() -> None:
    """Copies what a person has laid down, never over a secret that is in use."""
    for path in sorted(path for path in GIVEN.rglob("*") if path.is_file() and not path.name.startswith((".", "README"))):
        target = SECRETS / path.relative_to(GIVEN)
        if not target.parent.is_dir():
            sys.exit(f"{path.relative_to(GIVEN)} is no secret of the mesh: the folders are {', '.join(sorted(os.listdir(SECRETS)))}")
        if not target.exists():
            fresh = target.with_name(f".{target.name}.given")
            shutil.copyfile(path, fresh)
            fresh.chmod(0o444)
            fresh.replace(target)
            print(f"{path.relative_to(GIVEN)}: taken from what was given")


def main() -> int:
    """Does all of it; again and again without harm."""
    take_given()
    status = operations(["secrets", "--to", str(SECRETS), "--shared"])
    if status:
        return status
    models = OWNED / "models" / "models.config"
    # The folder is another account's after the first start, and then the file is there.
    if not models.exists():
        models.write_bytes(EMPTY_CONFIG)
        os.chown(models, USER, USER)
    for folder in OWNED.iterdir():
        if folder.stat().st_uid != USER:
            os.chown(folder, USER, USER)
    return 0


if __name__ == "__main__":
    sys.exit(main())
