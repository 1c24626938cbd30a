// Lints our own files of the contract by buf's STANDARD rules, and looks for changes that would break those who use it already.
// Input are built descriptor sets, so that no import has to be found again; files that are not ours are left out.
import { execFileSync } from "node:child_process";
import { copyFileSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { descriptors, python, web } from "./contract.mjs";

const house = resolve(web, "..");
const rules = resolve(web, "buf.yaml");
const run = (program, ...args) => execFileSync(program, args, { cwd: house, stdio: "inherit" });
const buf = (...args) => run(resolve(web, "node_modules/.bin/buf"), ...args, "--config", rules);

/** What git answers, or null where it has no answer: no repository, no such name, a clone without history. */
function git(...args) {
  try {
    return execFileSync("git", ["-C", house, ...args], { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] }).trim() || null;
  } catch {
    return null;
  }
}

/** The commit whose contract others rely on: $CONTRACT_BASE, where this branch left the main one, or the last release. */
function base() {
  const asked = process.env.CONTRACT_BASE;
  if (asked) {
    const commit = git("rev-parse", "--verify", `${asked}^{commit}`);
    if (commit === null) throw new Error(`CONTRACT_BASE=${asked} is no commit that is here`);
    return commit;
  }
  const release = git("describe", "--tags", "--abbrev=0", "--match", "v*");
  return git("merge-base", "HEAD", "origin/main") ?? (release === null ? null : git("rev-parse", "--verify", `${release}^{commit}`));
}

/** Builds the contract as it was at a commit, by today's way of building it; null where that commit had none. */
function contractAt(commit, scratch) {
  if (git("cat-file", "-t", `${commit}:protos/labelmesh`) === null) return null;
  const then = join(scratch, "then");
  mkdirSync(then);
  const archive = join(scratch, "then.tar");
  run("git", "archive", "--output", archive, commit, "protos/labelmesh");
  run("tar", "-xf", archive, "-C", then);
  copyFileSync(resolve(house, "protos/generate.py"), join(then, "protos/generate.py"));
  const image = join(scratch, "then.binpb");
  const program =
    "import sys, pathlib; sys.path.insert(0, sys.argv[1]); import generate; generate.write_descriptor_set(pathlib.Path(sys.argv[2]))";
  run(python(), "-B", "-c", program, join(then, "protos"), image);
  return image;
}

const scratch = mkdtempSync(join(tmpdir(), "labelmesh-lint-"));
const image = join(scratch, "contract.binpb");
try {
  copyFileSync(descriptors(), image);
  buf("lint", image);
  console.log("the contract follows buf's STANDARD rules");
  const commit = base();
  const before = commit === null ? null : contractAt(commit, scratch);
  if (before === null) {
    console.log("not compared with an earlier contract: git has neither origin/main nor a release tag (v*) here");
  } else {
    buf("breaking", image, "--against", before);
    console.log(`the contract breaks nobody who uses that of ${commit.slice(0, 12)}`);
  }
} catch (failure) {
  if (failure.status === undefined) console.error(String(failure.message ?? failure));
  process.exitCode = failure.status || 1;
} finally {
  rmSync(scratch, { recursive: true, force: true });
}
