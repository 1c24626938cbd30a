// A small labeling service in memory: images, leases, repeats of requests. As strict as the real one about who holds what.
import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError } from "@connectrpc/connect";
import { ErrorInfoSchema } from "../src/gen/google/rpc/error_details_pb";
import { type Lease, LeaseSchema, type Next, NextSchema, NothingReason } from "../src/gen/labelmesh/labeling/v1/annotations_pb";
import type { LabelingPort } from "../src/labeling/port";

export function refusal(code: Code, reason: string, message = "no"): ConnectError {
  return new ConnectError(message, code, undefined, [{ desc: ErrorInfoSchema, value: { reason, domain: "labelmesh" } }]);
}

export class FakeMesh implements LabelingPort {
  readonly labels: { image: number; classId: string }[] = [];
  readonly calls: string[] = [];
  /** Thrown by the next calls, one each; "late" lets the call take effect first, as when only the answer is lost. */
  readonly faults: ({ readonly error: ConnectError; readonly late?: boolean } | null)[] = [];
  reason = NothingReason.ALL_LABELED;
  inFlight = 0;
  mostInFlight = 0;

  private readonly queue: number[];
  private readonly leases = new Map<string, number>();
  private readonly answers = new Map<string, unknown>();
  private next = 0;

  constructor(images: number) {
    this.queue = Array.from({ length: images }, (_, image) => image);
  }

  /** Images that are held right now. */
  get held(): number[] {
    return [...this.leases.values()];
  }

  addImages(...images: number[]): void {
    this.queue.push(...images);
  }

  /** Somebody else takes an image that was held. */
  take(image: number): void {
    for (const [id, held] of this.leases) if (held === image) this.leases.delete(id);
  }

  lease: LabelingPort["lease"] = ({ requestId, held }) => this.call("lease", requestId, () => this.handOut(held));

  submit: LabelingPort["submit"] = ({ requestId, leaseId, classId, leaseNext, held }) =>
    this.call("submit", requestId, () => {
      const image = this.leases.get(leaseId);
      if (image === undefined) throw refusal(Code.FailedPrecondition, "LEASE_LOST");
      if (classId === "unknown") throw refusal(Code.InvalidArgument, "CLASS_UNKNOWN", "the project has no such class");
      this.leases.delete(leaseId);
      this.labels.push({ image, classId });
      return { given: this.labels.length, next: leaseNext ? this.handOut(held.filter((id) => id !== leaseId)) : undefined };
    });

  skip: LabelingPort["skip"] = ({ requestId, leaseId, leaseNext, held }) =>
    this.call("skip", requestId, () => {
      const image = this.leases.get(leaseId);
      this.leases.delete(leaseId);
      if (image !== undefined) this.queue.push(image);
      return { next: leaseNext ? this.handOut(held.filter((id) => id !== leaseId)) : undefined };
    });

  undo: LabelingPort["undo"] = ({ requestId }) =>
    this.call("undo", requestId, () => {
      const last = this.labels.pop();
      if (!last) throw refusal(Code.FailedPrecondition, "NOTHING_TO_UNDO");
      return { given: this.labels.length, lease: this.hold(last.image, last.classId) };
    });

  renew: LabelingPort["renew"] = (leaseIds) => this.call("renew", "", () => new Set(leaseIds.filter((id) => this.leases.has(id))));

  release: LabelingPort["release"] = (leaseIds) =>
    this.call("release", "", () => {
      const back = leaseIds.flatMap((id) => this.leases.get(id) ?? []);
      for (const id of leaseIds) this.leases.delete(id);
      this.queue.unshift(...back);
    });

  private async call<Answer>(name: string, requestId: string, work: () => Answer): Promise<Answer> {
    this.calls.push(name);
    this.inFlight += 1;
    this.mostInFlight = Math.max(this.mostInFlight, this.inFlight);
    await new Promise((resolve) => setTimeout(resolve, 1));
    this.inFlight -= 1;
    const fault = this.faults.shift();
    if (fault && !fault.late) throw fault.error;
    if (requestId !== "" && this.answers.has(requestId)) return this.answers.get(requestId) as Answer;
    const answer = work();
    if (requestId !== "") this.answers.set(requestId, answer);
    if (fault) throw fault.error;
    return answer;
  }

  private handOut(known: readonly string[]): Next {
    for (const [id, image] of this.leases) if (!known.includes(id)) return this.leased(this.leaseOf(id, image));
    const image = this.queue.shift();
    if (image === undefined) {
      const value = { reason: this.reason, retryTime: timestampFromMs(Date.now() + 60_000) };
      return create(NextSchema, { next: { case: "nothing", value } });
    }
    return this.leased(this.hold(image));
  }

  private hold(image: number, previousClassId = ""): Lease {
    this.next += 1;
    const id = `lease-${this.next}`;
    this.leases.set(id, image);
    return this.leaseOf(id, image, previousClassId);
  }

  private leaseOf(id: string, image: number, previousClassId = ""): Lease {
    return create(LeaseSchema, { id, imageUrl: `/images/${image}`, width: 8, height: 8, previousClassId });
  }

  private leased(lease: Lease): Next {
    return create(NextSchema, { next: { case: "lease", value: lease } });
  }
}
