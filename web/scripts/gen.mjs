// Generates src/gen from the contract: messages and services of ours, and the details of errors. Never edited, never committed.
import { execFileSync } from "node:child_process";
import { mkdirSync, rmSync } from "node:fs";
import { resolve } from "node:path";
import { python, web } from "./contract.mjs";

const out = resolve(web, "src/gen");
rmSync(out, { recursive: true, force: true });
mkdirSync(out, { recursive: true });

const set = resolve(out, "contract.binpb");
const files = execFileSync(python(), [resolve(web, "scripts/browser_contract.py"), set], { encoding: "utf8" })
  .trim()
  .split("\n");
execFileSync(
  python(),
  [
    "-m",
    "grpc_tools.protoc",
    `--descriptor_set_in=${set}`,
    `--plugin=protoc-gen-es=${resolve(web, "node_modules/.bin/protoc-gen-es")}`,
    `--es_out=${out}`,
    "--es_opt=target=ts",
    ...files,
  ],
  { stdio: "inherit" },
);
rmSync(set);
console.log(`generated ${files.length} files of the contract`);
