"""The folder that results go to: whose it is, and that nobody else writes to it meanwhile."""

from __future__ import annotations

import json
import os
from pathlib import Path
from types import TracebackType

from labelmesh_client.augmenting.folder import Json, Settings
from labelmesh_client.augmenting.journal import Journal, Lock, OutFolder
from labelmesh_client.augmenting.results import ANNOTATIONS, RECIPES
from labelmesh_client.errors import ConfigurationError

STATE = ".labelmesh"
_RUN = "run.json"
_VERSION = 1


class OpenedFolder:
    """A folder that belongs to a run with these settings; close it, or use it in a `with`.

    Raises ConfigurationError where it has something else in it, was made with other settings (`overwrite` removes what was made), is being
    written to, or cannot be.
    """

    def __init__(self, root: Path, settings: Settings, *, overwrite: bool = False) -> None:
        self.out = OutFolder(root)
        self._state = root / STATE
        self.journal_path = self._state / "journal.jsonl"
        try:
            root.mkdir(parents=True, exist_ok=True)
            if not (self._state / _RUN).exists() and any(name != STATE for name in os.listdir(root)):
                raise ConfigurationError(f"{root} has files in it that no run of this command made. Name an empty folder with --out.")
            self._state.mkdir(exist_ok=True)
            self._lock = Lock(self._state / "lock")
        except OSError as error:
            raise ConfigurationError(f"{root} cannot be written to: {error.strerror or error}.") from None
        try:
            self._claim(settings.to_json(), overwrite)
        except OSError as error:
            self.close()
            raise ConfigurationError(f"{root} cannot be written to: {error.strerror or error}.") from None
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> OpenedFolder:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        self._lock.release()

    def _claim(self, settings: Json, overwrite: bool) -> None:
        wanted = {"version": _VERSION, **settings}
        path = self._state / _RUN
        if path.exists():
            before = self._before(path)
            others = [name for name in wanted if before.get(name) != wanted[name]]
            if others and not overwrite:
                changed = " and the ".join(f"“{name}”" if name == "version" else name for name in others)
                verb = "is another" if len(others) == 1 else "are others"
                raise ConfigurationError(
                    f"{self.out.root} has the results of an earlier run: the {changed} {verb} now. "
                    "Name another folder with --out, or make everything anew with --overwrite."
                )
            if overwrite:
                self._clear()
            elif not others:
                return
        partial = path.with_name(f".{path.name}.part")
        with partial.open("w", encoding="utf-8") as file:
            json.dump(wanted, file, indent=1, ensure_ascii=False)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)

    def _before(self, path: Path) -> Json:
        try:
            before = json.loads(path.read_text(encoding="utf-8"))
        except ValueError:
            before = None
        if not isinstance(before, dict):
            raise ConfigurationError(f"{path} is damaged. Remove {self.out.root} and start again.")
        return before

    def _clear(self) -> None:
        """Removes what the journal says was made, the journal last: when this is stopped, it can be done again."""
        for _, entry, _ in Journal(self.journal_path, self.out, 0, 1).lines():
            if isinstance(entry.get("file"), str):
                self.out.remove(entry["file"])
        self.out.remove(ANNOTATIONS)
        self.out.remove(RECIPES)
        self.journal_path.unlink(missing_ok=True)
