// Labels that people draw or load: made, read from JSON of the contract or COCO, and written as such.
import { create, fromJson, type JsonObject, type JsonValue, toJson } from "@bufbuild/protobuf";
import {
  type Box,
  BoxSchema,
  type Keypoint,
  KeypointSchema,
  type Labels,
  LabelsSchema,
  type Polygon,
  PolygonSchema,
  Visibility,
} from "../gen/labelmesh/augment/v1/labels_pb";

export const NO_LABELS: Labels = create(LabelsSchema);

export type Kind = "box" | "polygon" | "keypoint";

/** A label by its kind and its place among those of its kind. */
export interface Which {
  readonly kind: Kind;
  readonly index: number;
}

export interface XY {
  readonly x: number;
  readonly y: number;
}

export function labelCount(labels: Labels): number {
  return labels.boxes.length + labels.polygons.length + labels.keypoints.length + labels.masks.length;
}

const tidy = (value: number): number => Number(value.toFixed(2));

/** A box between two corners; null where it would have no area. */
export function boxBetween(a: XY, b: XY, label: string): Box | null {
  const [width, height] = [Math.abs(a.x - b.x), Math.abs(a.y - b.y)];
  if (width < 1 || height < 1) return null;
  return create(BoxSchema, { label, x: tidy(Math.min(a.x, b.x)), y: tidy(Math.min(a.y, b.y)), width: tidy(width), height: tidy(height) });
}

export function polygonOf(points: readonly XY[], label: string): Polygon | null {
  if (points.length < 3) return null;
  return create(PolygonSchema, { label, rings: [{ points: points.map(({ x, y }) => ({ x: tidy(x), y: tidy(y) })) }] });
}

export function keypointAt(at: XY, label: string): Keypoint {
  return create(KeypointSchema, { label, x: tidy(at.x), y: tidy(at.y), visibility: Visibility.VISIBLE });
}

export type Drawn = { kind: "box"; label: Box } | { kind: "polygon"; label: Polygon } | { kind: "keypoint"; label: Keypoint };

export function withLabel(labels: Labels, drawn: Drawn): Labels {
  const next = create(LabelsSchema, { ...labels });
  if (drawn.kind === "box") next.boxes = [...labels.boxes, drawn.label];
  else if (drawn.kind === "polygon") next.polygons = [...labels.polygons, drawn.label];
  else next.keypoints = [...labels.keypoints, drawn.label];
  return next;
}

export function withoutLabel(labels: Labels, which: Which): Labels {
  const others = <One>(list: readonly One[]): One[] => list.filter((_, index) => index !== which.index);
  const next = create(LabelsSchema, { ...labels });
  if (which.kind === "box") next.boxes = others(labels.boxes);
  else if (which.kind === "polygon") next.polygons = others(labels.polygons);
  else next.keypoints = others(labels.keypoints);
  return next;
}

export function withChanged(
  labels: Labels,
  which: Which,
  change: { label?: string; x?: number; y?: number; width?: number; height?: number },
): Labels {
  const next = create(LabelsSchema, { ...labels });
  const at = <One>(list: readonly One[], make: (one: One) => One): One[] =>
    list.map((one, index) => (index === which.index ? make(one) : one));
  if (which.kind === "box") next.boxes = at(labels.boxes, (one) => create(BoxSchema, { ...one, ...change }));
  else if (which.kind === "keypoint") next.keypoints = at(labels.keypoints, (one) => create(KeypointSchema, { ...one, ...change }));
  else next.polygons = at(labels.polygons, (one) => create(PolygonSchema, { ...one, label: change.label ?? one.label }));
  return next;
}

// --- JSON ---

/** Why a text holds no labels, in a sentence. */
export class NoLabels extends Error {}

/** Labels as JSON of the contract. Answers' shares and weights are left out where they say nothing. */
export function labelsJson(labels: Labels): JsonObject {
  return toJson(LabelsSchema, labels) as JsonObject;
}

/** Reads labels: the contract's, or a COCO file's of the image that is called `name` (the only image otherwise). Throws NoLabels. */
export function readLabels(text: string, name = ""): Labels {
  let json: JsonValue;
  try {
    json = JSON.parse(text) as JsonValue;
  } catch (thrown) {
    throw new NoLabels(`This is no JSON: ${thrown instanceof Error ? thrown.message : String(thrown)}.`);
  }
  if (typeof json !== "object" || json === null || Array.isArray(json)) {
    throw new NoLabels("Labels are an object with boxes, polygons and keypoints, or a COCO file.");
  }
  if (Array.isArray(json.annotations) && Array.isArray(json.images)) return fromCoco(json as unknown as Coco, name);
  try {
    return fromJson(LabelsSchema, json.labels !== undefined && !Array.isArray(json.labels) ? json.labels : json);
  } catch (thrown) {
    const said = thrown instanceof Error ? thrown.message : String(thrown);
    throw new NoLabels(`These are no labels: ${said.replace(/(cannot decode )?(message |field )?labelmesh\.augment\.v1\./g, "")}.`);
  }
}

interface Coco {
  readonly images: readonly { id?: unknown; file_name?: unknown; width?: unknown; height?: unknown }[];
  readonly annotations: readonly {
    id?: unknown;
    image_id?: unknown;
    category_id?: unknown;
    bbox?: unknown;
    segmentation?: unknown;
    keypoints?: unknown;
  }[];
  readonly categories?: readonly { id?: unknown; name?: unknown; keypoints?: unknown }[];
}

const bare = (path: string): string => path.split(/[\\/]/).at(-1)?.toLowerCase() ?? "";
const numbers = (value: unknown): number[] => (Array.isArray(value) ? value.map(Number).filter(Number.isFinite) : []);

function fromCoco(coco: Coco, name: string): Labels {
  const image =
    coco.images.find((one) => bare(String(one?.file_name ?? "")) === bare(name)) ?? (coco.images.length === 1 ? coco.images[0] : undefined);
  if (!image) {
    throw new NoLabels(
      `This COCO file has ${coco.images.length} images, none of them called “${name}”. Bring the picture under the name that it has there.`,
    );
  }
  const labels = create(LabelsSchema);
  const categories = new Map((coco.categories ?? []).map((one) => [one.id, one]));
  for (const one of coco.annotations) {
    if (one?.image_id !== image.id) continue;
    const category = categories.get(one.category_id);
    const label = String(category?.name ?? one.category_id ?? "");
    const id = String(one.id ?? "");
    const [x, y, width, height] = numbers(one.bbox);
    if (x !== undefined && y !== undefined && width !== undefined && height !== undefined && width > 0 && height > 0) {
      labels.boxes.push(create(BoxSchema, { id, label, x, y, width, height }));
    }
    const rings = (Array.isArray(one.segmentation) ? one.segmentation : []).map(numbers).filter((ring) => ring.length >= 6);
    if (rings.length > 0) {
      const points = (ring: number[]): XY[] =>
        Array.from({ length: ring.length >> 1 }, (_, at) => ({ x: ring[2 * at] ?? 0, y: ring[2 * at + 1] ?? 0 }));
      labels.polygons.push(create(PolygonSchema, { id, label, rings: rings.map((ring) => ({ points: points(ring) })) }));
    }
    const names = Array.isArray(category?.keypoints) ? category.keypoints.map(String) : [];
    const triples = numbers(one.keypoints);
    for (let at = 0; at + 2 < triples.length; at += 3) {
      const seen = triples[at + 2];
      const visibility = seen === 0 ? Visibility.ABSENT : seen === 1 ? Visibility.HIDDEN : Visibility.VISIBLE;
      const point = { id, label: names[at / 3] ?? `${label} ${at / 3 + 1}`, x: triples[at] ?? 0, y: triples[at + 1] ?? 0, visibility };
      labels.keypoints.push(create(KeypointSchema, point));
    }
  }
  return labels;
}

export interface LabelledFile {
  readonly name: string;
  readonly width: number;
  readonly height: number;
  readonly labels: Labels;
}

function areaOf(points: readonly XY[]): number {
  let twice = 0;
  for (const [index, point] of points.entries()) {
    const next = points[(index + 1) % points.length] ?? point;
    twice += point.x * next.y - next.x * point.y;
  }
  return Math.abs(twice) / 2;
}

/** Four corners of a box, clockwise from the upper left one, turned as it is. */
export function cornersOf(box: Box): XY[] {
  const [cx, cy] = [box.x + box.width / 2, box.y + box.height / 2];
  const angle = (box.rotation * Math.PI) / 180;
  const [cos, sin] = [Math.cos(angle), Math.sin(angle)];
  const corner = (dx: number, dy: number): XY => ({ x: cx + dx * cos - dy * sin, y: cy + dx * sin + dy * cos });
  const [w, h] = [box.width / 2, box.height / 2];
  return [corner(-w, -h), corner(w, -h), corner(w, h), corner(-w, h)];
}

function boundsOf(points: readonly XY[]): [number, number, number, number] {
  const xs = points.map((point) => point.x);
  const ys = points.map((point) => point.y);
  const [x, y] = [Math.min(...xs), Math.min(...ys)];
  return [x, y, Math.max(...xs) - x, Math.max(...ys) - y].map(tidy) as [number, number, number, number];
}

/** Labels of several files as one COCO file: boxes and polygons as annotations, keypoints of a file as one annotation. */
export function cocoOf(files: readonly LabelledFile[]): JsonObject {
  const categories = new Map<string, number>();
  const category = (label: string): number => {
    const known = categories.get(label) ?? categories.size + 1;
    categories.set(label, known);
    return known;
  };
  const annotations: JsonObject[] = [];
  const add = (rest: JsonObject): void => void annotations.push({ id: annotations.length + 1, iscrowd: 0, ...rest });
  const names: string[] = [];
  for (const file of files) for (const one of file.labels.keypoints) if (!names.includes(one.label)) names.push(one.label);
  for (const [index, file] of files.entries()) {
    const image_id = index + 1;
    for (const box of file.labels.boxes) {
      const corners = cornersOf(box);
      const turned: JsonObject = box.rotation === 0 ? {} : { segmentation: [corners.flatMap(({ x, y }) => [tidy(x), tidy(y)])] };
      add({ image_id, category_id: category(box.label), bbox: boundsOf(corners), area: tidy(box.width * box.height), ...turned });
    }
    for (const polygon of file.labels.polygons) {
      const rings = polygon.rings.map((ring) => ring.points);
      const segmentation = rings.map((ring) => ring.flatMap(({ x, y }) => [tidy(x), tidy(y)]));
      const area = tidy(rings.reduce((sum, ring) => sum + areaOf(ring), 0));
      add({ image_id, category_id: category(polygon.label), bbox: boundsOf(rings.flat()), area, segmentation });
    }
    const inside = (one: Keypoint): boolean => one.visibility !== Visibility.OUTSIDE && one.visibility !== Visibility.ABSENT;
    const points = file.labels.keypoints.filter(inside);
    if (points.length > 0) {
      const keypoints = names.flatMap((name) => {
        const one = points.find((point) => point.label === name);
        return one ? [tidy(one.x), tidy(one.y), one.visibility === Visibility.HIDDEN ? 1 : 2] : [0, 0, 0];
      });
      add({ image_id, category_id: category("keypoints"), bbox: boundsOf(points), area: 0, keypoints, num_keypoints: points.length });
    }
  }
  return {
    images: files.map((file, index) => ({ id: index + 1, file_name: file.name, width: file.width, height: file.height })),
    annotations,
    categories: [...categories].map(([name, id]) => (name === "keypoints" ? { id, name, keypoints: names, skeleton: [] } : { id, name })),
  };
}
