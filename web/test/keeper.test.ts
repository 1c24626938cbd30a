import { create } from "@bufbuild/protobuf";
import { expect, test, vi } from "vitest";
import { SessionSchema } from "../src/gen/labelmesh/auth/v1/sessions_pb";
import type { Mesh } from "../src/rpc/mesh";
import { SessionKeeper } from "../src/session/keeper";

test("a refusal of what was sent before signing in does not end the new session", async () => {
  vi.useFakeTimers({ toFake: ["setInterval", "clearInterval", "Date"] });
  const session = create(SessionSchema, { user: { id: "u", name: "ada" }, idleTimeout: { seconds: 120n } });
  const mesh = { sessions: { signIn: async () => ({ session }) } } as unknown as Mesh;
  const tabs = { tell: () => undefined, listen: () => undefined };
  const work = { renew: async () => false, pause: async () => undefined, goOn: () => undefined, forget: () => undefined };
  const keeper = new SessionKeeper(() => mesh, tabs, work);
  const before = Date.now();
  vi.setSystemTime(before + 500);
  await keeper.signIn("ada", "secret");
  keeper.refused("SESSION_ENDED", before);
  expect(keeper.state.value.phase).toBe("signed-in");
  keeper.refused("SESSION_ENDED", Date.now() + 1);
  expect(keeper.state.value.phase).toBe("interrupted");
  vi.useRealTimers();
});
