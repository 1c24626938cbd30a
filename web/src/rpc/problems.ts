// What went wrong, as a person is told: restored from the details of google.rpc that every error of the mesh carries.
import { Code, ConnectError } from "@connectrpc/connect";
import { BadRequestSchema, ErrorInfoSchema, RetryInfoSchema } from "../gen/google/rpc/error_details_pb";

export interface Problem {
  readonly code: Code;
  /** The stable reason of the mesh, e.g. "WRONG_CREDENTIALS"; empty when the error names none. */
  readonly reason: string;
  /** A sentence for people. */
  readonly sentence: string;
  /** What is wrong with single fields of the request, by their names in the contract. */
  readonly fields: ReadonlyMap<string, string>;
  /** Milliseconds after which trying again makes sense, where the server said so. */
  readonly retryAfterMs: number | null;
  /** The server could not be reached or was not ready: the same call may succeed later. */
  readonly transient: boolean;
}

const BY_REASON: Record<string, string> = {
  WRONG_CREDENTIALS: "That name and password do not go together.",
  SIGN_IN_THROTTLED: "Too many failed attempts. Please wait before you try again.",
  RATE_LIMITED: "This is going too fast for the server. Please wait a moment.",
  AUTH_UNAVAILABLE: "The server cannot check sessions right now. Please try again in a moment.",
  SESSION_ENDED: "Your session has ended. Please sign in again.",
  SESSION_REVOKED: "You were signed out. Please sign in again.",
  TOKEN_MISSING: "Please sign in first.",
  TOKEN_INVALID: "Your session is no longer valid. Please sign in again.",
  USER_NAME_TAKEN: "Somebody has that name already.",
  WRONG_PASSWORD: "That is not your current password.",
  LAST_ADMIN: "This is the last admin; make somebody else an admin first.",
  ETAG_MISMATCH: "Somebody else changed this in the meantime. Look at the current state and try again.",
  CLASS_IN_USE: "A class that was already used for labels cannot be removed.",
  LEASE_LOST: "Somebody else has that image by now, so your label was not needed.",
  LEASE_ENDED: "That image had gone back to the queue, so the label was not kept.",
  NOTHING_TO_UNDO: "There is no label of yours to take back.",
  MODEL_SERVER_UNAVAILABLE: "The model server is away.",
  VERSION_NOT_AVAILABLE: "The model server has not loaded that version yet.",
  VERSION_NOT_SERVED: "The model server does not have that version.",
  MODEL_NOT_SERVED: "The model server does not have that model.",
  MODEL_NOT_FOUND: "There is no model of that name any more.",
  ALIAS_NOT_FOUND: "The model has no such alias.",
  VERSION_NOT_FOUND: "The model has no such version.",
  MODEL_TOO_SLOW: "The model took too long to answer.",
  MODEL_BUSY: "The model has more to do than it can take right now.",
  REVISION_MISMATCH: "Somebody else changed the routing in the meantime. This is the current one; try again if you still want the change.",
  WORKERS_BUSY: "The server is augmenting as much as it can right now.",
  WORKER_LOST: "The server lost its worker over this picture.",
  PIPELINE_NOT_FOUND: "There is no pipeline of that name and version.",
  VERSION_EXISTS: "Somebody else saved a newer version of this pipeline in the meantime.",
  TOO_MANY_PIPELINES: "The project keeps as many pipelines as it can. Delete one that is not needed any more.",
  IMAGE_TAKEN: "Somebody else has that image by now; your label stays.",
};

const BY_CODE: Partial<Record<Code, string>> = {
  [Code.Unavailable]: "The server cannot be reached right now.",
  [Code.DeadlineExceeded]: "The server took too long to answer.",
  [Code.Unauthenticated]: "Please sign in again.",
  [Code.PermissionDenied]: "Your account is not allowed to do this.",
  [Code.NotFound]: "This does not exist, or you may not see it.",
  [Code.Internal]: "Something went wrong on the server. Please try again.",
  [Code.Unknown]: "Something went wrong. Please try again.",
  [Code.Unimplemented]: "This server does not know how to do that.",
};

/** Codes whose message is written by the mesh for people and says more than ours would. */
const SPEAKS_FOR_ITSELF = new Set([
  Code.InvalidArgument,
  Code.FailedPrecondition,
  Code.AlreadyExists,
  Code.OutOfRange,
  Code.ResourceExhausted,
]);

/** Somebody else was faster: the same call fails again. */
const OTHERS_CHANGED_IT = new Set(["ETAG_MISMATCH", "REVISION_MISMATCH", "VERSION_EXISTS"]);
const PASSES_BY_ITSELF = new Set(["RATE_LIMITED", "MODEL_BUSY", "WORKERS_BUSY"]);
const TRANSIENT = new Set([Code.Unavailable, Code.DeadlineExceeded]);

function asSentence(text: string): string {
  const trimmed = text.trim();
  if (trimmed === "") return "";
  const first = trimmed.charAt(0).toUpperCase() + trimmed.slice(1);
  return /[.!?]$/.test(first) ? first : `${first}.`;
}

/** Whether the call never got an answer: no network, a connection cut, a server that is not there. */
function neverAnswered(error: ConnectError): boolean {
  return error.cause instanceof TypeError || (error.code === Code.Unknown && error.message.includes("missing message"));
}

/** Tells what an error means. Takes anything that was thrown; never throws itself. */
export function problemOf(thrown: unknown): Problem {
  const error = ConnectError.from(thrown);
  const info = error.findDetails(ErrorInfoSchema)[0];
  const reason = info?.reason ?? "";
  const delay = error.findDetails(RetryInfoSchema)[0]?.retryDelay;
  const fields = new Map<string, string>();
  for (const bad of error.findDetails(BadRequestSchema)) {
    for (const violation of bad.fieldViolations) fields.set(violation.field, asSentence(violation.description));
  }
  const lost = neverAnswered(error);
  const code = lost ? Code.Unavailable : error.code;
  const own = SPEAKS_FOR_ITSELF.has(code) && !lost ? asSentence(error.rawMessage) : "";
  return {
    code,
    reason,
    sentence: BY_REASON[reason] ?? (own !== "" ? own : (BY_CODE[code] ?? asSentence(error.rawMessage))),
    fields,
    retryAfterMs: delay ? Number(delay.seconds) * 1000 + delay.nanos / 1e6 : null,
    transient: TRANSIENT.has(code) || (code === Code.Aborted && !OTHERS_CHANGED_IT.has(reason)) || PASSES_BY_ITSELF.has(reason),
  };
}
