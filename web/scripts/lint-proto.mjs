// Lints our own files of the contract by buf's STANDARD rules. Input is the built descriptor set, so that no import
// has to be found again; files that are not ours are left out.
import { execFileSync } from "node:child_process";
import { copyFileSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { descriptors, web } from "./contract.mjs";

const scratch = mkdtempSync(join(tmpdir(), "labelmesh-lint-"));
const image = join(scratch, "contract.binpb");
try {
  copyFileSync(descriptors(), image);
  execFileSync(resolve(web, "node_modules/.bin/buf"), ["lint", image, "--config", resolve(web, "buf.yaml")], { stdio: "inherit" });
  console.log("the contract follows buf's STANDARD rules");
} catch (failure) {
  process.exitCode = failure.status ?? 1;
} finally {
  rmSync(scratch, { recursive: true, force: true });
}
