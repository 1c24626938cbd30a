import { Code, ConnectError } from "@connectrpc/connect";
import { expect, test } from "vitest";
import { BadRequestSchema, ErrorInfoSchema, RetryInfoSchema } from "../src/gen/google/rpc/error_details_pb";
import { problemOf } from "../src/rpc/problems";

const info = (reason: string) => ({ desc: ErrorInfoSchema, value: { reason, domain: "labelmesh" } }) as const;

test("wrong credentials read as a sentence that tells nothing about the account", () => {
  const problem = problemOf(new ConnectError("x", Code.Unauthenticated, undefined, [info("WRONG_CREDENTIALS")]));
  expect(problem.sentence).toBe("That name and password do not go together.");
  expect(problem.transient).toBe(false);
});

test("a throttled sign-in tells how long to wait", () => {
  const retry = { desc: RetryInfoSchema, value: { retryDelay: { seconds: 12n, nanos: 500_000_000 } } } as const;
  const problem = problemOf(new ConnectError("x", Code.ResourceExhausted, undefined, [info("SIGN_IN_THROTTLED"), retry]));
  expect(problem.retryAfterMs).toBe(12_500);
  expect(problem.transient).toBe(false);
});

test("what is wrong with single fields is found by their names", () => {
  const bad = {
    desc: BadRequestSchema,
    value: { fieldViolations: [{ field: "password", description: "at least 10 characters" }] },
  } as const;
  const problem = problemOf(new ConnectError("the password is too short", Code.InvalidArgument, undefined, [info("PASSWORD_LENGTH"), bad]));
  expect(problem.fields.get("password")).toBe("At least 10 characters.");
  expect(problem.sentence).toBe("The password is too short.");
});

test("a server that is not there is transient, however the browser words it", () => {
  const refused = ConnectError.from(new TypeError("Failed to fetch"));
  expect(problemOf(refused)).toMatchObject({
    code: Code.Unavailable,
    transient: true,
    sentence: "The server cannot be reached right now.",
  });
  expect(problemOf(new ConnectError("x", Code.Unavailable)).transient).toBe(true);
});

test("an internal error shows nothing of the server's insides", () => {
  expect(problemOf(new ConnectError("Traceback: secret", Code.Internal)).sentence).not.toContain("secret");
});

test("somebody else's change is no reason to send the same again", () => {
  expect(problemOf(new ConnectError("x", Code.Aborted, undefined, [info("ETAG_MISMATCH")])).transient).toBe(false);
  expect(problemOf(new ConnectError("x", Code.Aborted, undefined, [info("CONCURRENT_CHANGE")])).transient).toBe(true);
});

test("a model that is away or busy is asked again, a routing that somebody else changed is not", () => {
  const retry = { desc: RetryInfoSchema, value: { retryDelay: { seconds: 2n } } } as const;
  const away = problemOf(new ConnectError("x", Code.Unavailable, undefined, [info("MODEL_SERVER_UNAVAILABLE"), retry]));
  expect(away).toMatchObject({ transient: true, retryAfterMs: 2000, sentence: "The model server is away." });
  expect(problemOf(new ConnectError("x", Code.ResourceExhausted, undefined, [info("MODEL_BUSY")])).transient).toBe(true);
  expect(problemOf(new ConnectError("x", Code.Aborted, undefined, [info("REVISION_MISMATCH")])).transient).toBe(false);
});
