"""The model repository: the folder that the model server reads, with its configuration.

`<repository>/<model>/<version>/` holds a SavedModel, `<repository>/models.config` (TensorFlow Serving's ModelServerConfig as text) names
the versions that are served. A version appears by one rename, so none is ever seen half written; and it is served only once it is named.
"""

from __future__ import annotations

import os
import re
import secrets
import shutil
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from labelmesh_client.errors import ConfigurationError
from labelmesh_client.serverconfig import MARK, ServedModel, read_server_config, write_server_config

CONFIG_NAME = "models.config"
#: Where a manifest lies beside its SavedModel.
MANIFEST_NAME = "assets.extra/labelmesh.yaml"
#: So many versions are served, beside those that are asked to be kept.
NEWEST = 3
MOST_FILES = 20_000
_MOST_VERSION = 2**62
_LOCK_PATIENCE_S = 30.0
#: What a publication leaves behind that was killed is cleared away after this long.
_ABANDONED_S = 24 * 3600
_MODEL = re.compile(r"[a-z0-9][a-z0-9_.-]{0,63}")
_INCOMING = ".incoming-"


class ModelRepository:
    """A model repository. Programs may share it: one at a time changes the configuration.

    `served_path` is where the model server sees the folder, where that is another place than here (a container's volume); by default what
    the configuration says already, else the folder's own absolute path.
    """

    def __init__(self, path: str | Path, *, served_path: str | None = None) -> None:
        self.path = Path(path).absolute()
        self._served_path = served_path

    @property
    def config_path(self) -> Path:
        return self.path / CONFIG_NAME

    def prepare(self) -> None:
        """Makes the folder and an empty configuration where there are none, so that a model server can start on it."""
        with _spoken(self.path):
            self.path.mkdir(parents=True, exist_ok=True)
        with self._locked():
            if not self.config_path.exists():
                self._write({})

    # --- looking ---

    def models(self) -> tuple[str, ...]:
        """Names of the models that have a version here."""
        if not self.path.is_dir():
            return ()
        with _spoken(self.path):
            return tuple(sorted(entry.name for entry in self.path.iterdir() if _MODEL.fullmatch(entry.name) and self.versions(entry.name)))

    def versions(self, model: str) -> tuple[int, ...]:
        """Versions of a model that lie here, oldest first."""
        folder = self.path / _checked(model)
        if not folder.is_dir():
            return ()
        with _spoken(folder):
            return tuple(sorted(int(entry.name) for entry in folder.iterdir() if _is_version(entry.name) and entry.is_dir()))

    def next_version(self, model: str, *, at_least: int = 1) -> int:
        """The number after the highest that lies here, and no lower than `at_least`."""
        return max([at_least - 1, *self.versions(model)]) + 1

    def folder(self, model: str, version: int) -> Path:
        """Where a version lies, or would lie."""
        return self.path / _checked(model) / str(version)

    def served(self, model: str) -> tuple[int, ...]:
        """Versions that the configuration names."""
        found = self._read().get(_checked(model))
        return found.versions if found is not None else ()

    # --- changing ---

    def publish(self, model: str, version: int, folder: str | Path, keep: Iterable[int] = (), *, move: bool = False) -> Path:
        """Puts a SavedModel's folder into the repository as a version, and has it served; returns where it lies.

        All or nothing: the files are copied (or, with `move`, taken) under another name, written to disk, and renamed. `keep` are versions
        to go on serving beside the newest 3, e.g. those that aliases lead to. Raises ConfigurationError: the version is there already, the
        folder is no SavedModel, too little room, or a configuration that a person wrote.
        """
        target, source = self.folder(model, version), Path(folder)
        if not 1 <= version < _MOST_VERSION:
            raise ConfigurationError(f"{version} is no version of a model; versions are whole numbers from 1.")
        _check_saved_model(source)
        if not self.path.is_dir():
            raise ConfigurationError(f"There is no model repository at {self.path}.")
        # Said before anything is copied.
        self._read()
        if target.exists():
            raise self._is_there(model, version)
        incoming = self.path / f"{_INCOMING}{secrets.token_hex(8)}"
        try:
            with _spoken(self.path):
                self._clear_abandoned()
                _take(source, incoming, move=move)
                with self._locked():
                    target.parent.mkdir(exist_ok=True)
                    # A rename would replace an empty folder silently.
                    if target.exists():
                        raise self._is_there(model, version)
                    os.rename(incoming, target)
                    _sync_folder(target.parent)
                    _sync_folder(self.path)
                    self._configure(model, [*keep, version])
        finally:
            shutil.rmtree(incoming, ignore_errors=True)
        return target

    def configure(self, model: str, keep: Iterable[int] = ()) -> tuple[int, ...]:
        """Has the newest 3 versions served and those of `keep` that lie here; returns them. Others are unloaded."""
        with _spoken(self.path), self._locked():
            return self._configure(model, keep)

    def remove(self, model: str, version: int, keep: Iterable[int] = ()) -> None:
        """Takes a version out: it is served no more, then its folder goes. No error where it is not there."""
        target = self.folder(model, version)
        leaving = self.path / f"{_INCOMING}{secrets.token_hex(8)}"
        with _spoken(self.path):
            with self._locked():
                self._configure(model, keep, without=version)
                if target.exists():
                    os.rename(target, leaving)
                    _sync_folder(target.parent)
                with suppress(OSError):
                    target.parent.rmdir()  # Only when nothing else is in it.
            shutil.rmtree(leaving, ignore_errors=True)

    # --- inside ---

    def _is_there(self, model: str, version: int) -> ConfigurationError:
        free = self.next_version(model)
        return ConfigurationError(f"The repository has a version {version} of {model} already; the next free number is {free}.")

    def _configure(self, model: str, keep: Iterable[int], *, without: int | None = None) -> tuple[int, ...]:
        config = self._read()
        there = [version for version in self.versions(model) if version != without]
        chosen = tuple(sorted({*there[-NEWEST:], *(version for version in keep if version in there)}))
        served = config.pop(model, None)
        if chosen:
            config[model] = ServedModel(model, self._base_path(model, served, config), chosen)
        self._write(config)
        return chosen

    def _base_path(self, model: str, served: ServedModel | None, config: dict[str, ServedModel]) -> str:
        if self._served_path is not None:
            return f"{self._served_path.rstrip('/')}/{model}"
        if served is not None:
            return served.base_path
        # Where the others are seen, this one is seen too.
        for other in config.values():
            if other.base_path.endswith(f"/{other.name}"):
                return f"{other.base_path.removesuffix(other.name)}{model}"
        return str(self.path / model)

    def _read(self) -> dict[str, ServedModel]:
        try:
            text = self.config_path.read_text(encoding="utf-8")
        except FileNotFoundError:
            return {}
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigurationError(f"{self.config_path} cannot be read: {error}.") from None
        if text.strip() and not text.startswith(MARK):
            raise ConfigurationError(
                f"{self.config_path} was not written by labelmesh, so it is left as it is. Either remove it, or add the model yourself:\n"
                '  config { name: "MODEL" base_path: "FOLDER/MODEL" model_platform: "tensorflow"\n'
                "           model_version_policy { specific { versions: N } } }"
            )
        return read_server_config(text, self.config_path)

    def _write(self, config: dict[str, ServedModel]) -> None:
        temporary = self.path / f".{CONFIG_NAME}-{secrets.token_hex(8)}"
        try:
            with temporary.open("w", encoding="utf-8") as file:
                file.write(write_server_config(config.values()))
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, self.config_path)
            _sync_folder(self.path)
        finally:
            temporary.unlink(missing_ok=True)

    def _clear_abandoned(self) -> None:
        for entry in self.path.glob(f"{_INCOMING}*"):
            with suppress(OSError):
                if time.time() - entry.stat().st_mtime > _ABANDONED_S:
                    shutil.rmtree(entry, ignore_errors=True)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """One program at a time; a lock that is held for longer than 30 s is an error that names the file."""
        import fcntl  # Not on every system, and not needed to look.

        path = self.path / ".lock"
        with path.open("a") as file:
            give_up = time.monotonic() + _LOCK_PATIENCE_S
            while True:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() > give_up:
                        raise ConfigurationError(f"Another program has been changing the model repository for long ({path}).") from None
                    time.sleep(0.05)
            yield  # Closing the file lets go of the lock.


def _checked(model: str) -> str:
    if not _MODEL.fullmatch(model):
        raise ConfigurationError(f"{model!r} is no name of a model: use a-z, 0-9, dot, dash and underscore, at most 64.")
    return model


def _is_version(name: str) -> bool:
    return name.isascii() and name.isdecimal() and not name.startswith("0") and int(name) < _MOST_VERSION


def _check_saved_model(folder: Path) -> None:
    if not folder.is_dir():
        raise ConfigurationError(f"There is no folder {folder}.")
    if not (folder / "saved_model.pb").is_file():
        raise ConfigurationError(f"{folder} is no SavedModel: it has no file saved_model.pb.")


def _take(source: Path, target: Path, *, move: bool) -> None:
    """Copies or moves a folder and writes it to disk. Links that lead out of it are refused, as are folders of too many files."""
    files = _files(source)
    if move:
        with suppress(OSError):  # On another file system it is copied.
            os.rename(source, target)
    if not target.exists():
        free, needed = shutil.disk_usage(target.parent).free, sum(file.stat().st_size for file in files)
        if needed > free:
            raise ConfigurationError(f"The model has {needed:,} bytes and {target.parent} has room for {free:,}.")
        shutil.copytree(source, target)
        if move:
            shutil.rmtree(source, ignore_errors=True)
    for folder, _, names in os.walk(target):
        for name in names:
            with open(os.path.join(folder, name), "rb") as file:
                os.fsync(file.fileno())
        _sync_folder(Path(folder))


def _files(source: Path) -> list[Path]:
    root = source.resolve()
    files: list[Path] = []
    for folder, folders, names in os.walk(source):
        for name in (*folders, *names):
            path = Path(folder, name)
            if not path.resolve().is_relative_to(root):
                raise ConfigurationError(f"{path} is a link that leads out of the model's folder.")
            if path.is_symlink() and path.is_dir():
                raise ConfigurationError(f"{path} is a link to a folder; a model's folder has its own files.")
        files += [Path(folder, name) for name in names]
        if len(files) > MOST_FILES:
            raise ConfigurationError(f"{source} has more than {MOST_FILES:,} files; is it the folder of one version?")
    return files


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _spoken(path: Path) -> Iterator[None]:
    """What the operating system refuses, as a sentence."""
    try:
        yield
    except OSError as error:  # shutil's own error is one too
        reason = error.strerror or str(error)
        raise ConfigurationError(f"The model repository {path} cannot be used: {reason}.") from None
