// Where the contract comes from: the installed distribution `labelmesh-protos`, asked through its own Python.
import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { fileURLToPath } from "node:url";

export const web = resolve(dirname(fileURLToPath(import.meta.url)), "..");

/** The Python that has labelmesh-protos and grpcio-tools: $PYTHON, or the repository's own environment. */
export function python() {
  const own = resolve(web, "../.labelmesh/venv/bin/python");
  return process.env.PYTHON ?? (existsSync(own) ? own : "python3");
}

/** The path of the contract's FileDescriptorSet, with all imports and comments. */
export function descriptors() {
  const program = "import importlib.resources as r; print(r.files('labelmesh.contract') / 'descriptors.binpb')";
  return execFileSync(python(), ["-c", program], { encoding: "utf8" }).trim();
}
