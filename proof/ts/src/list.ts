// Lists of members, and the digests of scopes (section 11).

import { digest } from "./claims.js";
import { P } from "./field.js";
import { D, H, labelled, text } from "./hash.js";
import { parse } from "./json.js";
import { compress } from "./poseidon.js";
import { readable, wellFormed } from "./refusal.js";

const MOST_BYTES = 10 * 2 ** 20;
const MOST_MEMBERS = 2 ** 17;

// LATER has the characters that Unicode 15.1 to 17.0 added, and that engines know. The case
// "printable" compares all characters with those of Go, and fails for a later version.
const LATER = new Set<number>();
const RUNS = `
  88f 897 c5c cdc 1acf-1add 1ae0-1aeb 1b4e-1b4f 1b7f 1c89-1c8a 20c1 2427-2429 2b96 2ffc-2fff 31e4-31e5 31ef
  a7cb-a7cf a7d2 a7d4 a7da-a7dc a7f1 fbc3-fbd2 fd90-fd91 fdc8-fdce 105c0-105f3 10940-10959 10d40-10d65
  10d69-10d85 10d8e-10d8f 10ec2-10ec7 10ed0-10ed8 10efa-10efc 11380-11389 1138b 1138e 11390-113b5 113b7-113c0
  113c2 113c5 113c7-113ca 113cc-113d5 113d7-113d8 113e1-113e2 116d0-116e3 11b60-11b67 11bc0-11be1 11bf0-11bf9
  11db0-11ddb 11de0-11de9 11f5a 13460-143fa 16100-16139 16d40-16d79 16ea0-16eb8 16ebb-16ed3 16ff2-16ff6
  187f8-187ff 18cff 18d09-18d1e 18d80-18df2 1cc00-1ccfc 1cd00-1ceb3 1ceba-1ced0 1cee0-1cef0 1e5d0-1e5fa 1e5ff
  1e6c0-1e6de 1e6e0-1e6f5 1e6fe-1e6ff 1f6d8 1f777-1f77a 1f8b2-1f8bb 1f8c0-1f8c1 1f8d0-1f8d8 1fa54-1fa57
  1fa89-1fa8a 1fa8e-1fa8f 1fabe 1fac6 1fac8 1facd 1fadc 1fadf 1fae9-1faea 1faef 1fbcb-1fbef 1fbfa 2b73a-2b73f
  2cea2-2cead 2ebf0-2ee5d 323b0-33479`;
for (const run of RUNS.trim().split(/\s+/)) {
  const [first, last = first] = run.split("-").map((hex) => parseInt(hex, 16));
  for (let c = first; c <= last; c++) LATER.add(c);
}

// printable reports whether a character may be in a name: those of Unicode 15.0.
export const printable = (c: string): boolean => /^[\p{L}\p{M}\p{N}\p{P}\p{S} ]$/u.test(c) && !LATER.has(c.codePointAt(0)!);

export function checkName(name: string): boolean {
  const size = text(name).length;
  return size >= 1 && size <= 128 && [...name].every(printable);
}

export function isDigest(hex: string): boolean {
  return /^[0-9a-f]{64}$/.test(hex) && [0, 8, 16, 24, 32, 40, 48, 56].every((at) => parseInt(hex.slice(at, at + 8), 16) < P);
}

export const scopeOf = (name: string, scope: string): number[] => H("TD-V2-scope", D("TD-V2-scope", text(name), text(scope)));

export class List {
  readonly id: string;
  private known?: number[][][];

  constructor(readonly name: string, readonly members: string[]) {
    this.id = Buffer.from(labelled("TD-V2-list", [text(name), ...members.map((m) => Buffer.from(m, "hex"))])).toString("hex");
  }

  get depth(): number {
    return Math.max(1, Math.ceil(Math.log2(this.members.length)));
  }

  // levels returns the nodes of the tree, level by level from the leaves to the root. Nodes
  // without a member below are left out; [nothing] returns them.
  get levels(): number[][][] {
    if (this.known !== undefined) return this.known;
    const levels = [this.members.map(digest)];
    for (let level = 0; level < this.depth; level++) {
      const below = levels[level];
      levels.push(Array.from({ length: Math.ceil(below.length / 2) }, (_, i) => compress(below[2 * i], below[2 * i + 1] ?? nothing(level))));
    }
    return (this.known = levels);
  }

  get root(): number[] {
    return this.levels[this.depth][0];
  }

  // siblings returns the sibling of each node on the path from a member to the root.
  siblings(member: number): number[][] {
    return Array.from({ length: this.depth }, (_, level) => this.levels[level][(member >> level) ^ 1] ?? nothing(level));
  }
}

// nothing returns the node of a level that has no member below it.
function nothing(level: number): number[] {
  if (level === 0) return new Array(8).fill(0);
  const below = nothing(level - 1);
  return compress(below, below);
}

export function parseList(file: Uint8Array): List {
  const object = readable(() => parse(file, MOST_BYTES), (reason) => (reason === "too_large" ? reason : "malformed_request"));
  const [name, members] = [object.get("name"), object.get("members")];
  wellFormed(object.size === 2 && typeof name === "string" && Array.isArray(members), "no name and members");
  wellFormed(checkName(name), "no name");
  wellFormed(members.length >= 1 && members.length <= MOST_MEMBERS, "too few or too many members");
  const texts = members.map((m) => (typeof m === "string" ? m : ""));
  wellFormed(texts.every(isDigest), "a member is no digest");
  wellFormed(texts.every((m, i) => i === 0 || texts[i - 1] < m), "members are not in order or repeat");
  return new List(name, texts);
}
