import { Code, ConnectError } from "@connectrpc/connect";
import { expect, test } from "vitest";
import { NothingReason } from "../src/gen/labelmesh/labeling/v1/annotations_pb";
import type { Outbox, Unsent } from "../src/labeling/outbox";
import { LabelingQueue } from "../src/labeling/queue";
import { randomUuid } from "../src/session/tabs";
import { until } from "./clock";
import { FakeMesh, refusal } from "./fakemesh";

const AWAY = new ConnectError("nobody there", Code.Unavailable);

class MemoryOutbox implements Outbox {
  constructor(public unsent: readonly Unsent[] = []) {}
  read = (): Unsent[] => [...this.unsent];
  write = (unsent: readonly Unsent[]): void => {
    this.unsent = unsent;
  };
}

interface Bench {
  mesh: FakeMesh;
  outbox: MemoryOutbox;
  queue: LabelingQueue;
  /** The number of the image on screen. */
  image: () => number;
  label: (classId: string) => Promise<void>;
  settled: () => Promise<void>;
}

async function bench(images: number, outbox = new MemoryOutbox(), mesh = new FakeMesh(images)): Promise<Bench> {
  const queue = new LabelingQueue({
    port: mesh,
    load: async () => ({}) as HTMLImageElement,
    outbox,
    uuid: randomUuid,
    back: () => new Promise((resolve) => setTimeout(resolve, 5)),
  });
  const image = (): number => Number(queue.current.value?.lease.imageUrl.split("/").pop() ?? Number.NaN);
  const show = async (): Promise<void> => {
    await until(() => queue.current.value?.pictureState.value === "ready" && !queue.busyUndoing.value, "a picture");
    queue.shown(queue.current.value?.lease.id ?? "", 1000);
  };
  const label = async (classId: string): Promise<void> => {
    await show();
    expect(queue.label(classId, 1500)).toBe(true);
  };
  const settled = (): Promise<void> => until(() => queue.unconfirmed.value === 0 && mesh.inFlight === 0, "the last answer");
  queue.enter();
  if (images > 0) {
    await show();
    await until(() => mesh.inFlight === 0, "quiet");
  }
  return { mesh, outbox, queue, image, label, settled };
}

test("a label takes effect at once and the image fetched ahead is on screen before the server answers", async () => {
  const { mesh, queue, image, label } = await bench(10);
  expect(image()).toBe(0);
  await label("7");
  expect(image()).toBe(1);
  expect(mesh.labels).toEqual([]);
  expect(queue.unconfirmed.value).toBe(1);
});

test("three images are held and never more than one call is under way", async () => {
  const { mesh, label, settled } = await bench(30);
  expect(mesh.held).toEqual([0, 1, 2]);
  for (let number = 0; number < 20; number += 1) await label(String(number % 10));
  await settled();
  expect(mesh.labels.map((one) => one.image)).toEqual(Array.from({ length: 20 }, (_, image) => image));
  expect(mesh.held).toHaveLength(3);
  expect(mesh.mostInFlight).toBe(1);
});

test("an image that is not on screen yet cannot be labeled", async () => {
  const { queue, label } = await bench(5);
  await label("1");
  expect(queue.ready.value).toBe(false);
  expect(queue.label("1", 2000)).toBe(false);
});

test("a label whose answer was lost is sent again and counted once", async () => {
  const { mesh, label, settled, queue } = await bench(6);
  mesh.faults.push({ error: AWAY, late: true }, { error: AWAY });
  await label("3");
  await settled();
  expect(mesh.labels).toEqual([{ image: 0, classId: "3" }]);
  expect(queue.given.value).toBe(1);
  expect(mesh.calls.filter((call) => call === "submit")).toHaveLength(3);
});

test("the count never jumps back while labels are on their way", async () => {
  const { label, queue, settled } = await bench(12);
  queue.knowGiven(0);
  const seen: number[] = [];
  const stop = queue.given.subscribe((given) => seen.push(given ?? -1));
  for (let number = 0; number < 5; number += 1) await label("1");
  await settled();
  stop();
  expect(seen).toEqual([...seen].sort((one, other) => one - other));
  expect(seen.at(-1)).toBe(5);
});

test("a label that the project refuses brings its image back and says why", async () => {
  const { label, image, queue, settled } = await bench(5);
  await label("unknown");
  expect(image()).toBe(1);
  await settled();
  expect(image()).toBe(0);
  expect(queue.notice.value).toEqual({ sentence: "The label was not saved: The project has no such class.", tone: "problem" });
  await label("2");
  await settled();
});

test("a label for an image that somebody else took is told and nothing comes back", async () => {
  const { mesh, label, image, queue, settled } = await bench(5);
  mesh.take(0);
  await label("2");
  await settled();
  expect(image()).toBe(1);
  expect(queue.notice.value?.sentence).toContain("Somebody else");
  expect(mesh.labels).toEqual([]);
});

test("an error that should not happen is tried three times before the image comes back", async () => {
  const { mesh, label, image, queue } = await bench(4);
  const broken = new ConnectError("internal error", Code.Internal);
  mesh.faults.push({ error: broken }, { error: broken }, { error: broken });
  await label("2");
  await until(() => queue.notice.value !== null, "the notice");
  expect(image()).toBe(0);
  expect(mesh.calls.filter((call) => call === "submit")).toHaveLength(3);
});

test("undo shows the image again with the class that was given", async () => {
  const { mesh, label, image, queue, settled } = await bench(6);
  await label("4");
  await settled();
  queue.undo();
  await until(() => image() === 0, "the image");
  expect(queue.current.value?.lease.previousClassId).toBe("4");
  expect(mesh.labels).toEqual([]);
  await label("5");
  await settled();
  expect(mesh.labels).toEqual([{ image: 0, classId: "5" }]);
});

test("undo of a label that was never sent asks nobody", async () => {
  const { mesh, label, image, queue, settled } = await bench(6);
  await label("1");
  await label("2");
  queue.undo();
  expect(image()).toBe(1);
  expect(queue.current.value?.lease.previousClassId).toBe("2");
  await settled();
  expect(mesh.calls).not.toContain("undo");
  expect(mesh.labels).toEqual([{ image: 0, classId: "1" }]);
});

test("undo with nothing to undo says so", async () => {
  const { queue } = await bench(3);
  queue.undo();
  await until(() => queue.notice.value !== null, "the notice");
  expect(queue.notice.value?.sentence).toBe("There is no label of yours to take back.");
  expect(queue.busyUndoing.value).toBe(false);
});

test("many undos give the surplus of images back", async () => {
  const { mesh, label, queue, settled } = await bench(20);
  for (let number = 0; number < 8; number += 1) await label("1");
  await settled();
  for (let number = 0; number < 6; number += 1) {
    queue.undo();
    await until(() => !queue.busyUndoing.value, "the undo");
  }
  await until(() => mesh.inFlight === 0, "quiet");
  expect(mesh.held.length).toBeLessThanOrEqual(5);
  expect(mesh.labels).toHaveLength(2);
});

test("a skipped image goes back and the next appears", async () => {
  const { mesh, queue, image, settled } = await bench(6);
  expect(queue.skip(1200)).toBe(true);
  expect(image()).toBe(1);
  await settled();
  expect(mesh.held).not.toContain(0);
});

test("the last label tells that all is done, whatever was said before", async () => {
  const mesh = new FakeMesh(2);
  mesh.reason = NothingReason.ALL_HELD;
  const { label, queue, settled } = await bench(2, new MemoryOutbox(), mesh);
  expect(queue.nothing.value?.reason).toBe(NothingReason.ALL_HELD);
  mesh.reason = NothingReason.ALL_LABELED;
  await label("1");
  await label("2");
  await settled();
  expect(queue.current.value).toBeNull();
  expect(queue.nothing.value?.reason).toBe(NothingReason.ALL_LABELED);
});

test("when asked again after nothing was left, new images come", async () => {
  const { mesh, queue, image } = await bench(0);
  await until(() => queue.nothing.value !== null, "the reason");
  mesh.addImages(41);
  queue.lookAgain();
  await until(() => image() === 41, "the image");
  expect(queue.current.value).not.toBeNull();
});

test("a pause gives images back but keeps labels, and going on sends them", async () => {
  const { mesh, outbox, label, queue, settled, image } = await bench(8);
  mesh.faults.push({ error: refusal(Code.Unauthenticated, "SESSION_ENDED") });
  await label("6");
  await until(() => mesh.inFlight === 0 && mesh.faults.length === 0, "the refusal");
  await queue.pause();
  expect(outbox.unsent).toHaveLength(1);
  expect(mesh.labels).toEqual([]);
  queue.goOn();
  await settled();
  expect(mesh.labels).toEqual([{ image: 0, classId: "6" }]);
  await until(() => image() === 1, "the next image");
});

test("a pause before the session's end gives back everything that is held", async () => {
  const { mesh, queue, image } = await bench(8);
  await queue.pause();
  expect(mesh.held).toEqual([]);
  expect(queue.current.value).toBeNull();
  queue.goOn();
  await until(() => image() === 0, "the same image");
});

test("leaving the page gives images back and still sends what is on its way", async () => {
  const { mesh, queue, label, settled } = await bench(8);
  await label("1");
  await queue.leave();
  await settled();
  await until(() => mesh.inFlight === 0, "quiet");
  expect(mesh.labels).toEqual([{ image: 0, classId: "1" }]);
  expect(mesh.held).toEqual([]);
});

test("labels kept from before a reload are sent first, under the same request", async () => {
  const mesh = new FakeMesh(4);
  const before = await bench(4, new MemoryOutbox(), mesh);
  mesh.faults.push({ error: refusal(Code.Unauthenticated, "SESSION_ENDED"), late: true });
  await before.label("9");
  await until(() => mesh.faults.length === 0, "the refusal");
  const after = await bench(4, new MemoryOutbox(before.outbox.unsent), mesh);
  await after.settled();
  expect(mesh.labels).toEqual([{ image: 0, classId: "9" }]);
  expect(after.outbox.unsent).toEqual([]);
});

test("a held image that somebody else has by now leaves the screen when the leases are renewed", async () => {
  const { mesh, queue, image } = await bench(6);
  mesh.take(0);
  expect(await queue.renew()).toBe(true);
  expect(image()).toBe(1);
  expect(queue.notice.value?.sentence).toContain("took over");
});

test("there is nothing to renew when nothing is held", async () => {
  const { queue, mesh } = await bench(0);
  await until(() => queue.nothing.value !== null, "the reason");
  expect(await queue.renew()).toBe(false);
  expect(mesh.calls).not.toContain("renew");
});

test("labels wait for the server when no image is left, and all of them arrive", async () => {
  const mesh = new FakeMesh(20);
  const { queue, label } = await bench(20, new MemoryOutbox(), mesh);
  mesh.faults.push(...Array.from({ length: 40 }, () => ({ error: AWAY })));
  for (let number = 0; number < 3; number += 1) await label("1");
  expect(queue.unconfirmed.value).toBe(3);
  expect(queue.current.value).toBeNull();
  expect(queue.label("1", 2000)).toBe(false);
  mesh.faults.length = 0;
  await until(() => queue.unconfirmed.value === 0, "the answers");
  expect(mesh.labels).toHaveLength(3);
});
