// What the contract says about a method: does calling it count as activity of a person?
import { type DescMethod, getOption } from "@bufbuild/protobuf";
import { MethodOptions_IdempotencyLevel } from "@bufbuild/protobuf/wkt";
import { open, passive } from "../gen/labelmesh/options/v1/options_pb";

/** Whether the edge prolongs the session when this method is called. Read from the contract, like the edge does. */
export function countsAsActivity(method: DescMethod): boolean {
  return method.idempotency !== MethodOptions_IdempotencyLevel.NO_SIDE_EFFECTS && !getOption(method, passive) && !getOption(method, open);
}

/** Whether the method needs no session. */
export function isOpen(method: DescMethod): boolean {
  return getOption(method, open);
}
