"""Aliases and traffic of a model: one document, of which every change makes a new one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from labelmesh_chassis.errors import FailedPrecondition, InvalidArgument, NotFound

from labelmesh_inference.registry.sticky import place

STABLE = "stable"


@dataclass(frozen=True, slots=True)
class Split:
    """A share of the calls that name neither an alias nor a version; the weight is relative to the sum of all."""

    alias: str
    weight: int


@dataclass(frozen=True, slots=True)
class Shadow:
    """Which calls another version answers too: a share of them, 0 to 1. No alias means none."""

    alias: str = ""
    share: float = 0.0


@dataclass(frozen=True, slots=True)
class Routes:
    """Which version each alias means, and which share of the calls each alias gets. No splits mean everything to stable."""

    aliases: Mapping[str, int] = field(default_factory=dict)
    splits: tuple[Split, ...] = ()
    shadow: Shadow = Shadow()

    @property
    def in_use(self) -> set[str]:
        """The aliases that traffic needs."""
        needed = {split.alias for split in self.splits} or {STABLE}
        return needed | ({self.shadow.alias} if self.shadow.alias else set())

    @property
    def versions_in_use(self) -> set[int]:
        """The versions that traffic needs."""
        return {self.aliases[alias] for alias in self.in_use if alias in self.aliases}

    def version_of(self, alias: str) -> int:
        """The version that an alias means; NotFound (ALIAS_NOT_FOUND)."""
        version = self.aliases.get(alias)
        if version is None:
            raise no_such_alias(alias, self.aliases)
        return version

    def choose(self, model: str, sticky_key: str) -> str:
        """The alias that traffic gives to a key."""
        return place(sticky_key, {split.alias: split.weight for split in self.splits}, scope=model) or STABLE

    def with_alias(self, alias: str, version: int) -> Routes:
        """The same with one alias pointed at a version, or without it for version 0.

        FailedPrecondition (ALIAS_IN_USE) where traffic needs what would go; NotFound (ALIAS_NOT_FOUND) where it is not there.
        """
        aliases = dict(self.aliases)
        if version:
            aliases[alias] = version
        else:
            self.version_of(alias)
            if alias in self.in_use:
                raise FailedPrecondition("ALIAS_IN_USE", f"traffic needs {alias}; change the traffic first", metadata={"alias": alias})
            del aliases[alias]
        return Routes(aliases, self.splits, self.shadow)

    def with_traffic(self, splits: Sequence[Split], shadow: Shadow) -> Routes:
        """The same with other traffic. InvalidArgument (ALIAS_REPEATED, NO_WEIGHT), NotFound (ALIAS_NOT_FOUND)."""
        seen: set[str] = set()
        for index, split in enumerate(splits):
            if split.alias in seen:
                raise InvalidArgument("ALIAS_REPEATED", f"{split.alias} is there twice", field=f"splits[{index}].alias")
            seen.add(split.alias)
        if splits and not any(split.weight for split in splits):
            raise InvalidArgument(
                "NO_WEIGHT", "one weight at least must be above 0; leave the splits out to send all to stable", field="splits"
            )
        changed = Routes(self.aliases, tuple(splits), shadow)
        for alias in sorted(changed.in_use):
            self.version_of(alias)
        return changed


@dataclass(frozen=True, slots=True)
class Routing:
    """Routes at one revision, who made it, when, and what they changed in words."""

    model: str
    revision: int
    routes: Routes
    changed_by: UUID
    changed_at: datetime
    change: str


def traffic_in_words(routes: Routes) -> str:
    """E.g. "traffic stable 90, canary 10; shadow next 5%"."""
    splits = ", ".join(f"{split.alias} {split.weight}" for split in routes.splits) or f"all to {STABLE}"
    shadow = routes.shadow
    return f"traffic {splits}" + (f"; shadow {shadow.alias} {shadow.share * 100:g}%" if shadow.alias else "")


def no_such_alias(alias: str, there: Mapping[str, int]) -> NotFound:
    """What a caller is told who names an alias that is not there."""
    names = ", ".join(sorted(there)) or "none"
    return NotFound("ALIAS_NOT_FOUND", f"there is no alias {alias}; there are: {names}", metadata={"alias": alias})


def no_such_model(model: str) -> NotFound:
    """What a caller is told who names a model that has no registered version."""
    return NotFound("MODEL_NOT_FOUND", f"there is no model {model}", metadata={"model": model})


def no_such_version(model: str, version: int) -> NotFound:
    """What a caller is told who names a version that is neither registered nor served."""
    return NotFound("VERSION_NOT_FOUND", f"there is no version {version} of {model}", metadata={"model": model, "version": str(version)})
