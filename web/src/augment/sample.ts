// The built-in pictures: what the page shows before somebody brings one, and what is mixed in until somebody brings others.
import { create } from "@bufbuild/protobuf";
import { type Labels, LabelsSchema, Visibility } from "../gen/labelmesh/augment/v1/labels_pb";
import dusk from "./pictures/further-dusk.jpg";
import field from "./pictures/further-field.jpg";
import sea from "./pictures/further-sea.jpg";
import bird from "./pictures/sample.jpg";

export const SAMPLE_ADDRESS: string = bird;
export const FURTHER_ADDRESSES: readonly string[] = [dusk, sea, field];

const point = (x: number, y: number): { x: number; y: number } => ({ x, y });

/** What is known of the built-in picture, 640 x 480. */
export const SAMPLE_LABELS: Labels = create(LabelsSchema, {
  boxes: [{ label: "robin", x: 160, y: 94, width: 368, height: 286 }],
  polygons: [
    {
      label: "wing",
      rings: [
        {
          points: [
            point(336, 204),
            point(372, 214),
            point(405, 240),
            point(430, 276),
            point(446, 318),
            point(400, 310),
            point(360, 296),
            point(330, 272),
            point(316, 244),
            point(318, 220),
          ],
        },
      ],
    },
  ],
  keypoints: [
    { label: "beak", x: 162, y: 160, visibility: Visibility.VISIBLE },
    { label: "eye", x: 236, y: 142, visibility: Visibility.VISIBLE },
    { label: "tail", x: 518, y: 374, visibility: Visibility.VISIBLE },
  ],
});

const fetched = new Map<string, Promise<Uint8Array>>();

/** The file at one of the addresses above, fetched once. */
export function builtIn(address: string): Promise<Uint8Array> {
  const known = fetched.get(address);
  if (known) return known;
  const asked = fetch(address).then(async (reply) => {
    if (!reply.ok) throw new TypeError(`The sample picture could not be had (${reply.status}).`);
    return new Uint8Array(await reply.arrayBuffer());
  });
  asked.catch(() => fetched.delete(address));
  fetched.set(address, asked);
  return asked;
}
