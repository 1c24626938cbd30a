"""Pipelines, recipes and transforms as messages and back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from google.protobuf.struct_pb2 import NULL_VALUE, ListValue, Struct, Value
from google.protobuf.timestamp_pb2 import Timestamp
from labelmesh.augment.v1 import pipelines_pb2 as pip
from labelmesh.augment.v1.augmentations_pb2 import DrawnStep as DrawnStepMessage
from labelmesh.augment.v1.augmentations_pb2 import Recipe as RecipeMessage
from labelmesh_chassis.errors import InvalidArgument

from labelmesh_augment.geometry.labels import LabelRules
from labelmesh_augment.pipelines.pipeline import DrawnStep, Fill, FillKind, Finding, Format, Output, Pipeline, Recipe, Step
from labelmesh_augment.pipelines.saved import SavedPipeline
from labelmesh_augment.transforms.transform import Family, Kind, Parameter, Transform

# A pipeline of a hundred steps has a few kilobytes.
MAX_PIPELINE_BYTES = 256 * 1024
# A recipe also has the keys and places of every step.
MAX_RECIPE_BYTES = 1024 * 1024


def plain(value: str, field: str) -> str:
    """The text; InvalidArgument (TEXT_INVALID) when it holds U+0000, which no database of ours can keep."""
    if "\0" in value:
        raise InvalidArgument("TEXT_INVALID", "the text holds the character U+0000", field=field)
    return value


# --- pipelines ---


def pipeline_of(message: pip.Pipeline, *, field: str = "pipeline") -> Pipeline:
    """A pipeline as it was sent, not checked; InvalidArgument (PIPELINE_INVALID) for one of a size that none has."""
    _bounded(message.ByteSize(), MAX_PIPELINE_BYTES, "pipeline", field)
    return Pipeline(
        steps=tuple(map(_step_of, message.steps)),
        fill=_fill_of(message.fill, message.fill_colour),
        labels=_rules_of(message.labels),
        output=_output_of(message.output),
        version=message.version,
    )


def pipeline_from(serialized: bytes) -> Pipeline:
    """The same from the bytes of a message."""
    return pipeline_of(pip.Pipeline.FromString(serialized))


def pipeline_message(pipeline: Pipeline) -> pip.Pipeline:
    """A pipeline with everything that was filled in."""
    return pip.Pipeline(
        version=pipeline.version,
        steps=map(_step_message, pipeline.steps),
        fill=_fill_number(pipeline.fill),
        fill_colour=pipeline.fill.colour or (),
        labels=_rules_message(pipeline.labels),
        output=_output_message(pipeline.output),
    )


def stored(pipeline: Pipeline) -> bytes:
    """A pipeline as it is kept: the same bytes for the same pipeline."""
    return pipeline_message(pipeline).SerializeToString(deterministic=True)


def findings_messages(findings: Iterable[Finding]) -> list[pip.Finding]:
    """What is to be said of a pipeline."""
    return [pip.Finding(field=found.field, description=found.description, warning=found.warning) for found in findings]


def saved_message(saved: SavedPipeline) -> pip.SavedPipeline:
    """A version that a project keeps. One of a later format is given back as it was saved, as far as this contract has its fields."""
    return pip.SavedPipeline(
        project_id=str(saved.project_id),
        name=saved.name,
        version=saved.version,
        pipeline=pip.Pipeline.FromString(saved.definition),
        note=saved.note,
        author_id=str(saved.author_id),
        create_time=_time(saved.created_at),
    )


# --- recipes ---


def recipe_of(message: RecipeMessage, *, field: str = "recipe") -> Recipe:
    """A recipe as it was sent, not checked; InvalidArgument (PIPELINE_INVALID) for one of a size that none has."""
    _bounded(message.ByteSize(), MAX_RECIPE_BYTES, "recipe", field)
    return Recipe(
        steps=tuple(DrawnStep(step.transform, _values_of(step.parameters), tuple(step.path)) for step in message.steps),
        fill=_fill_of(message.fill, message.fill_colour),
        labels=_rules_of(message.labels),
        output=_output_of(message.output),
        versions=dict(message.versions),
    )


def recipe_from(serialized: bytes) -> Recipe:
    """The same from the bytes of a message."""
    return recipe_of(RecipeMessage.FromString(serialized))


def recipe_message(recipe: Recipe) -> RecipeMessage:
    """A recipe that `recipe_of` makes the same of again."""
    steps = [DrawnStepMessage(transform=step.transform, parameters=_struct(step.parameters), path=step.path) for step in recipe.steps]
    return RecipeMessage(
        steps=steps,
        fill=_fill_number(recipe.fill),
        fill_colour=recipe.fill.colour or (),
        labels=_rules_message(recipe.labels),
        output=_output_message(recipe.output),
        versions=dict(recipe.versions),
    )


# --- transforms ---


def transform_message(transform: Transform) -> pip.Transform:
    """A transform with everything that a user interface needs for it."""
    return pip.Transform(
        name=transform.name,
        title=transform.title,
        family=pip.Family.ValueType(transform.family.value),
        summary=transform.summary,
        labels_summary=transform.labels_summary,
        source=transform.source,
        parameters=map(_parameter_message, transform.parameters),
        holds_steps=transform.family is Family.COMPOSITION,
        further_pictures=transform.further_pictures,
    )


def _parameter_message(parameter: Parameter) -> pip.Parameter:
    counted = parameter.kind in (Kind.NUMBER, Kind.INTEGER)
    return pip.Parameter(
        name=parameter.name,
        title=parameter.title,
        summary=parameter.summary,
        kind=pip.ParameterKind.ValueType(parameter.kind.value),
        ranged=parameter.ranged,
        unit=parameter.unit,
        minimum=parameter.minimum if counted else 0,
        maximum=parameter.maximum if counted else 0,
        step=parameter.step if counted else 0,
        choices=parameter.choices,
        default_value=_value(parameter.default),
        logarithmic=parameter.logarithmic,
    )


# --- parts ---


def _bounded(size: int, most: int, noun: str, field: str) -> None:
    if size > most:
        raise InvalidArgument("PIPELINE_INVALID", f"the {noun} has {size:,} bytes; {most:,} are plenty", field=field)


def _step_of(message: pip.Step) -> Step:
    probability = message.probability if message.HasField("probability") else 1.0
    return Step(message.transform, probability, _values_of(message.parameters), tuple(map(_step_of, message.steps)))


def _step_message(step: Step) -> pip.Step:
    return pip.Step(
        transform=step.transform,
        probability=step.probability,
        parameters=_struct(step.parameters),
        steps=map(_step_message, step.steps),
    )


def _fill_of(kind: int, colour: Sequence[int]) -> Fill:
    # A colour of two numbers is left to the check, which says what is wrong with it.
    given: Any = tuple(colour) or None
    return Fill(FillKind(kind or FillKind.COLOUR.value), given)


def _fill_number(fill: Fill) -> pip.Fill.ValueType:
    return pip.Fill.ValueType(fill.kind.value)


def _rules_of(message: pip.LabelRules) -> LabelRules:
    default = LabelRules()
    return LabelRules(
        min_visible_share=message.min_visible_share if message.HasField("min_visible_share") else default.min_visible_share,
        min_area=message.min_area if message.HasField("min_area") else default.min_area,
        mirror_pairs=tuple((pair.first, pair.second) for pair in message.mirror_pairs),
    )


def _rules_message(rules: LabelRules) -> pip.LabelRules:
    pairs = [pip.MirrorPair(first=first, second=second) for first, second in rules.mirror_pairs]
    return pip.LabelRules(min_visible_share=rules.min_visible_share, min_area=rules.min_area, mirror_pairs=pairs)


def _output_of(message: pip.Output) -> Output:
    return Output(Format(message.format), message.quality, message.keep_metadata)


def _output_message(output: Output) -> pip.Output:
    return pip.Output(format=pip.Format.ValueType(output.format.value), quality=output.quality, keep_metadata=output.keep_metadata)


def _values_of(struct: Struct) -> dict[str, Any]:
    return {name: _plain(value) for name, value in struct.fields.items()}


def _plain(value: Value) -> Any:
    match value.WhichOneof("kind"):
        case "number_value":
            return value.number_value
        case "string_value":
            return value.string_value
        case "bool_value":
            return value.bool_value
        case "list_value":
            return [_plain(held) for held in value.list_value.values]
        case "struct_value":
            return _values_of(value.struct_value)
        case _:
            return None


def _struct(values: Mapping[str, Any]) -> Struct:
    return Struct(fields={name: _value(value) for name, value in values.items()})


def _value(value: Any) -> Value:
    if value is None:
        return Value(null_value=NULL_VALUE)
    if isinstance(value, bool):
        return Value(bool_value=value)
    if isinstance(value, int | float):
        return Value(number_value=value)
    if isinstance(value, str):
        return Value(string_value=value)
    return Value(list_value=ListValue(values=map(_value, value)))


def _time(moment: datetime) -> Timestamp:
    stamp = Timestamp()
    stamp.FromDatetime(moment)
    return stamp
