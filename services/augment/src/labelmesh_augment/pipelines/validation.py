"""What is wrong with a pipeline or a recipe, all of it at once. Both come from outside."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from labelmesh_chassis.errors import FieldViolation, InvalidArgument

from labelmesh_augment.geometry.labels import LabelRules
from labelmesh_augment.pipelines import values
from labelmesh_augment.pipelines.pipeline import (
    MAX_DEPTH,
    MAX_STEPS,
    VERSION,
    DrawnStep,
    Fill,
    Finding,
    Format,
    Output,
    Pipeline,
    Recipe,
    Step,
)
from labelmesh_augment.transforms.catalogue import CATALOGUE
from labelmesh_augment.transforms.composition import ONE_OF, SOME_OF
from labelmesh_augment.transforms.transform import Family, Parameter, Transform, Values

# Steps of a recipe; some_of in some_of cannot make more than the pipeline has.
MAX_DRAWN_STEPS = 200
MAX_MIRROR_PAIRS = 100
MAX_FINDINGS = 100
_LOSSY = (Format.KEEP, Format.JPEG, Format.WEBP)


@dataclass(frozen=True, slots=True)
class Checked:
    """A pipeline with everything filled in, or what keeps it from being one."""

    pipeline: Pipeline
    findings: tuple[Finding, ...]

    @property
    def valid(self) -> bool:
        return all(finding.warning for finding in self.findings)


def check(pipeline: Pipeline, *, further: int | None = None) -> Checked:
    """Everything that is wrong with a pipeline, errors before warnings, each in order of its place; at most 100 findings.

    `further`: how many further pictures there will be, where that is known. When it is valid, `Checked.pipeline` has every default filled
    in, every range as (low, high), and steps left out where they hold none.
    """
    errors: list[Finding] = []
    warnings: list[Finding] = []
    if pipeline.version not in (0, VERSION):
        errors.append(Finding("version", f"There is no version {pipeline.version}; the newest is {VERSION}."))
    errors += _amount(pipeline.steps)
    steps: tuple[Step, ...] = ()
    if not errors:
        steps = _Steps(errors, warnings, further).checked(pipeline.steps, "steps", weighted=False)
    errors += [*_fill(pipeline.fill), *_rules(pipeline.labels), *_output(pipeline.output)]
    if pipeline.output.quality and pipeline.output.format not in _LOSSY:
        written = pipeline.output.format.name
        warnings.append(Finding("output.quality", f"{written} is written without loss; the quality makes no difference.", warning=True))
    checked = pipeline if errors else replace(pipeline, version=VERSION, steps=steps)
    return Checked(checked, tuple([*errors, *warnings][:MAX_FINDINGS]))


def normalised(pipeline: Pipeline, *, field: str = "pipeline") -> Pipeline:
    """The pipeline with everything filled in. Raises InvalidArgument (PIPELINE_INVALID) with a violation for each finding under `field`."""
    checked = check(pipeline)
    if not checked.valid:
        raise _invalid("PIPELINE_INVALID", "pipeline", checked.findings, field)
    return checked.pipeline


def check_recipe(recipe: Recipe, *, field: str = "recipe") -> Recipe:
    """The recipe with every value in the type that it was drawn as, all of them within bounds.

    Raises InvalidArgument (PIPELINE_INVALID) with a violation for each finding under `field`.
    """
    findings: list[Finding] = []
    steps: tuple[DrawnStep, ...] = ()
    if len(recipe.steps) > MAX_DRAWN_STEPS:
        findings.append(Finding("steps", f"There are {len(recipe.steps)} steps; a recipe has at most {MAX_DRAWN_STEPS}."))
    else:
        steps = tuple(_drawn_step(step, f"steps[{index}]", findings) for index, step in enumerate(recipe.steps))
    findings += [*_fill(recipe.fill), *_rules(recipe.labels), *_output(recipe.output)]
    if findings:
        raise _invalid("PIPELINE_INVALID", "recipe", findings[:MAX_FINDINGS], field)
    return replace(recipe, steps=steps)


class _Steps:
    """Checks steps within steps, and notes what it finds."""

    def __init__(self, errors: list[Finding], warnings: list[Finding], further: int | None) -> None:
        self._errors = errors
        self._warnings = warnings
        self._further = further

    def checked(self, steps: Sequence[Step], place: str, *, weighted: bool) -> tuple[Step, ...]:
        return tuple(self._step(step, f"{place}[{index}]", weighted) for index, step in enumerate(steps))

    def _step(self, step: Step, place: str, weighted: bool) -> Step:
        if not 0 <= step.probability <= 1:
            self._error(f"{place}.probability", f"{step.probability:.10g} is out of bounds; it can be 0 to 1.")
        elif step.probability == 0:
            told = "Its weight is 0, so it is never chosen." if weighted else "Its probability is 0, so it is never done."
            self._warn(f"{place}.probability", told)
        transform = CATALOGUE.get(step.transform)
        if transform is None:
            hint = values.did_you_mean(step.transform, tuple(CATALOGUE))
            self._error(f"{place}.transform", f"There is no transform {step.transform[:64]!r}.{hint}")
            return step
        if transform.further_pictures and self._further == 0:
            self._warn(f"{place}.transform", f"{transform.name} takes further pictures; without any it does nothing.")
        settings = self._settings(transform, step.parameters, f"{place}.parameters")
        inner = self._held(transform, step, place)
        return Step(step.transform, step.probability, settings, inner)

    def _held(self, transform: Transform, step: Step, place: str) -> tuple[Step, ...]:
        if transform.family is not Family.COMPOSITION:
            if step.steps:
                self._error(f"{place}.steps", f"{transform.name} holds no steps; one_of, some_of and sequence do.")
            return ()
        if not step.steps:
            self._error(f"{place}.steps", f"{transform.name} needs at least one step to hold.")
        weighted = transform.name in (ONE_OF, SOME_OF)
        if weighted and step.steps and all(held.probability == 0 for held in step.steps):
            self._error(f"{place}.steps", "None of these steps has a weight (its probability) above 0, so none can be chosen.")
        return self.checked(step.steps, f"{place}.steps", weighted=weighted)

    def _settings(self, transform: Transform, given: Mapping[str, Any], place: str) -> Values:
        names = tuple(parameter.name for parameter in transform.parameters)
        for name in _unknown(given, names):
            self._error(f"{place}.{name[:64]}", f"{transform.name} has no parameter {name[:64]!r}.{values.did_you_mean(name, names)}")
        settings: dict[str, Any] = {}
        sound = True
        for parameter in transform.parameters:
            try:
                settings[parameter.name] = values.setting(parameter, given.get(parameter.name))
            except values.Unfit as unfit:
                self._error(f"{place}.{parameter.name}", str(unfit))
                sound = False
        if sound:
            for name, description in transform.check(settings):
                self._error(f"{place}.{name}", description)
        return settings

    def _error(self, field: str, description: str) -> None:
        self._errors.append(Finding(field, description))

    def _warn(self, field: str, description: str) -> None:
        self._warnings.append(Finding(field, description, warning=True))


def drawn_parameters(transform: Transform) -> tuple[Parameter, ...]:
    """What stands in a recipe for this transform."""
    return transform.parameters if transform.drawn is None else transform.drawn


def _drawn_step(step: DrawnStep, place: str, findings: list[Finding]) -> DrawnStep:
    transform = CATALOGUE.get(step.transform)
    if transform is None:
        hint = values.did_you_mean(step.transform, tuple(CATALOGUE))
        findings.append(Finding(f"{place}.transform", f"There is no transform {step.transform[:64]!r}.{hint}"))
        return step
    if transform.family is Family.COMPOSITION:
        findings.append(Finding(f"{place}.transform", f"{transform.name} is drawn; a recipe has the steps that were chosen."))
        return step
    parameters = drawn_parameters(transform)
    names = tuple(parameter.name for parameter in parameters)
    before = len(findings)
    for name in _unknown(step.parameters, names):
        findings.append(Finding(f"{place}.parameters.{name[:64]}", f"A drawn {transform.name} has no {name[:64]!r}."))
    taken: dict[str, Any] = {}
    for parameter in parameters:
        if parameter.name not in step.parameters:
            findings.append(Finding(f"{place}.parameters.{parameter.name}", "It is missing; a recipe has every value that was drawn."))
            continue
        try:
            taken[parameter.name] = values.drawn(parameter, step.parameters[parameter.name])
        except values.Unfit as unfit:
            findings.append(Finding(f"{place}.parameters.{parameter.name}", str(unfit)))
    if len(findings) == before:
        findings += [Finding(f"{place}.parameters.{name}", description) for name, description in transform.check_drawn(taken)]
    return DrawnStep(step.transform, taken, step.path)


def _unknown(given: Mapping[str, Any], names: Sequence[str]) -> list[str]:
    """At most 20, since each of them is looked up among the names."""
    return [name for name in given if name not in names][:20]


def _amount(steps: Sequence[Step]) -> Iterator[Finding]:
    total, deepest = 0, ("", 0)
    waiting = [(step, f"steps[{index}]", 1) for index, step in enumerate(steps)]
    while waiting:
        step, place, depth = waiting.pop()
        total += 1
        if depth > deepest[1]:
            deepest = (place, depth)
        if depth <= MAX_DEPTH:
            waiting += [(held, f"{place}.steps[{index}]", depth + 1) for index, held in enumerate(step.steps)]
    if total > MAX_STEPS:
        yield Finding("steps", f"There are {total} steps, with those inside of others; a pipeline has at most {MAX_STEPS}.")
    if deepest[1] > MAX_DEPTH:
        yield Finding(deepest[0], f"Steps lie in one another more than {MAX_DEPTH} levels deep.")


def _fill(fill: Fill) -> Iterator[Finding]:
    # What comes over the wire may have another number of values than the type says.
    colour: Sequence[int] | None = fill.colour
    if colour is not None and (len(colour) != 3 or any(not 0 <= value <= 255 for value in colour)):
        yield Finding("fill_colour", "A colour is three whole numbers from 0 to 255, [red, green, blue], or left out for black.")


def _output(output: Output) -> Iterator[Finding]:
    if not 0 <= output.quality <= 100:
        yield Finding("output.quality", f"{output.quality} is out of bounds; it can be 1 to 100, or 0 for that of the input.")


def _rules(rules: LabelRules) -> Iterator[Finding]:
    if not 0 <= rules.min_visible_share <= 1:
        yield Finding("labels.min_visible_share", f"{rules.min_visible_share:.10g} is out of bounds; it can be 0 to 1.")
    if not (math.isfinite(rules.min_area) and 0 <= rules.min_area <= 1e9):
        yield Finding("labels.min_area", f"{rules.min_area:.10g} is out of bounds; it can be 0 to 1000000000 square pixels.")
    if len(rules.mirror_pairs) > MAX_MIRROR_PAIRS:
        yield Finding("labels.mirror_pairs", f"There are {len(rules.mirror_pairs)} pairs; there can be at most {MAX_MIRROR_PAIRS}.")
        return
    seen: dict[str, int] = {}
    for index, pair in enumerate(rules.mirror_pairs):
        if pair[0] == pair[1]:
            yield Finding(f"labels.mirror_pairs[{index}]", f"Both names are {pair[0][:64]!r}; a pair is two names that change places.")
        for name in dict.fromkeys(pair):
            if name in seen:
                yield Finding(f"labels.mirror_pairs[{index}]", f"{name[:64]!r} stands in pair {seen[name]}, too; a name has one partner.")
            seen.setdefault(name, index)


def _invalid(reason: str, noun: str, findings: Sequence[Finding], field: str) -> InvalidArgument:
    errors = [finding for finding in findings if not finding.warning]
    more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
    message = f"The {noun} cannot be used: {errors[0].field}: {errors[0].description}{more}"
    violations = [FieldViolation(f"{field}.{finding.field}" if field else finding.field, finding.description, reason) for finding in errors]
    return InvalidArgument(reason, message, violations=violations)
