// Cases about JSON: parameters, events and lists, whose results or refusals are compared with
// those of Go. A case is a line of JSON, with bytes in base64. TestCases in proof/claims
// writes them.

import { readFileSync } from "node:fs";
import { checkClaim, digest } from "./claims.js";
import { commit, commitMember } from "./commit.js";
import { sha256 } from "./hash.js";
import { Unreadable, canonical, parse } from "./json.js";
import { parseList, printable } from "./list.js";
import { hexOf, parseParams, statementOf } from "./params.js";
import { Refusal } from "./refusal.js";

export type Case =
  | { event: string } // its canonical form
  | { list: string } // id, name, depth and root
  | { printable: true } // the digest of what is printable, character by character
  | { claim: string; params: string; event: string; blind: string; list?: string; secret?: string };

const bytes = (base64: string): Buffer => Buffer.from(base64, "base64");

// resultOf returns the result of a case, or why it is refused. An error of this program is a
// result that no case wants.
export function resultOf(c: Case): unknown {
  try {
    if ("claim" in c) return witness(c);
    if ("list" in c) {
      const list = parseList(bytes(c.list));
      return { id: list.id, name: list.name, depth: list.depth, root: hexOf(list.root) };
    }
    if ("printable" in c) {
      const all = Uint8Array.from({ length: 0x110000 }, (_, i) => (printable(String.fromCodePoint(i)) ? 1 : 0));
      return Buffer.from(sha256(all)).toString("hex");
    }
    return canonical(parse(bytes(c.event), 64 * 1024));
  } catch (e) {
    if (e instanceof Refusal) return { refused: e.code };
    if (e instanceof Unreadable) return e.reason === "syntax" ? { refused: e.reason } : { refused: e.reason, offset: e.offset };
    return { error: String(e) };
  }
}

function witness(c: Extract<Case, { claim: string }>): unknown {
  const params = parseParams(c.claim, bytes(c.params));
  const list = c.list === undefined ? undefined : parseList(bytes(c.list));
  const [event, blind] = [bytes(c.event), digest(c.blind)];
  const w = list === undefined ? commit(params, event, blind) : commitMember(params, event, blind, list, digest(c.secret!));
  const again = statementOf(params, w.statement.commitment, list);
  if (JSON.stringify(again) !== JSON.stringify(w.statement)) throw new Error(`a verifier makes ${JSON.stringify(again)} of ${JSON.stringify(c)}`);
  return { ...checkClaim(again), secrets: w.secrets };
}

// vectors yields the cases of TD/1. For statements it compares the verdicts alone, because the
// digests of suite 2 are others.
export function* vectors(folder: string): Generator<{ case: Case; got: unknown; want: unknown }> {
  const read = (name: string) => JSON.parse(readFileSync(`${folder}/${name}`, "utf8"));
  const base64 = (s: string): string => Buffer.from(s).toString("base64");
  const verdict = (got: unknown): unknown => (got as { refused?: string }).refused ?? "";
  const runs = (list: [string, number][]): string => Buffer.concat(list.map(([hex, count]) => Buffer.from(hex.repeat(count), "hex"))).toString("base64");
  const jcs = read("jcs.json");
  for (const v of jcs.canonical) yield result({ event: base64(v.raw) }, v.canonical);
  for (const v of jcs.limits) yield result({ event: runs(v) }, "", (got) => (typeof got === "string" ? "" : got));
  for (const v of jcs.refused) yield result({ event: runs(v.raw) }, { refused: v.reason, ...(v.offset !== null && { offset: v.offset }) });
  const { statements, params, events, false: untrue } = read("claims.json");
  for (const v of [...statements, ...params, ...events, ...untrue]) {
    if (v.claim === "group/1" && v.code === undefined) continue; // digests of another field
    const c = { claim: v.claim, params: base64(v.params), event: base64(v.event ?? "{}"), blind: "00".repeat(32) };
    yield result(c, v.code ?? "", verdict);
  }
}

function result(c: Case, want: unknown, of = (got: unknown): unknown => got): { case: Case; got: unknown; want: unknown } {
  return { case: c, got: of(resultOf(c)), want };
}
