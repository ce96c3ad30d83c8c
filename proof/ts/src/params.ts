// Claims from JSON (section 11): parameters, and the statement of parameters and a
// commitment. The native rules are those of section 6 of TD/1.

import { Claim, digest } from "./claims.js";
import { H, text, u32 } from "./hash.js";
import { Json, Numeral, canonical, canonicalNumber, parse, scaled } from "./json.js";
import { List, checkName, isDigest, scopeOf } from "./list.js";
import { Refusal, readable, wellFormed } from "./refusal.js";

// Scaling turns a number of the event into the integer x · 10^scale + offset.
interface Scaling {
  scale: number;
  offset: bigint;
}

interface Interval {
  lo: bigint;
  hi: bigint;
}

// A Pointer is the parts of a JSON pointer, unescaped.
export type Pointer = string[];

export type Params =
  | { claim: "open/1" }
  | ({ claim: "range/1"; at: Pointer[]; intervals: Interval[] } & Scaling)
  | ({ claim: "sum/1"; at: Pointer[] } & Interval & Scaling)
  | ({ claim: "record-range/1"; at: Pointer[]; field: number } & Interval & Scaling)
  | ({ claim: "record-equals/1"; at: Pointer[]; field: number; value: string } & Scaling)
  | ({ claim: "record-oneof/1"; at: Pointer[]; field: number; values: string[] } & Scaling)
  | { claim: "group/1"; list: string; name: string; scope: string; nullifier: string }
  | ({ claim: "series-range/1"; at: Pointer; count: number; sums: Interval } & Interval & Scaling);

const MOST_BYTES = 2048;

// membersOf returns the members of an object that has exactly these.
function membersOf(v: Json, ...names: string[]): Record<string, Json> {
  wellFormed(v instanceof Map && v.size === names.length && names.every((name) => v.has(name)), "other members");
  return Object.fromEntries(v);
}

function textOf(v: Json): string {
  wellFormed(typeof v === "string", "no text");
  return v;
}

function listOf(v: Json, most: number): Json[] {
  wellFormed(Array.isArray(v) && v.length >= 1 && v.length <= most, `no list of 1 to ${most}`);
  return v;
}

function integerOf(v: Json, from: bigint, to: bigint): bigint {
  const x = v instanceof Numeral ? v.scaled(0, 0n) : undefined;
  wellFormed(x !== undefined && from <= x && x <= to, `no integer from ${from} to ${to}`);
  return x;
}

function pointerOf(v: Json): Pointer {
  const [first, ...parts] = textOf(v).split("/");
  wellFormed(first === "" && parts.length > 0, "a pointer is empty or does not begin with /");
  for (const part of parts) wellFormed(!/~(?![01])|^-$|^0[0-9]+$/.test(part), "a part of a pointer is not strict");
  return parts.map((part) => part.replaceAll("~1", "/").replaceAll("~0", "~"));
}

function pointersOf(list: Json[]): Pointer[] {
  wellFormed(new Set(list).size === list.length, "pointers repeat");
  return list.map(pointerOf);
}

const LARGEST_OFFSET = 2n ** 53n - 1n;

function scalingOf(p: Record<string, Json>): Scaling {
  return { scale: Number(integerOf(p.scale, 0n, 18n)), offset: "offset" in p ? integerOf(p.offset, -LARGEST_OFFSET, LARGEST_OFFSET) : 0n };
}

// boundOf returns a bound as an integer. It may be a text only if wide is set and no number of
// JSON has its value.
function boundOf(v: Json, { scale, offset }: Scaling, wide: boolean): bigint {
  let bound: bigint | undefined;
  if (v instanceof Numeral) bound = v.scaled(scale, offset);
  else if (wide && typeof v === "string") {
    wellFormed(/^-?(0|[1-9][0-9]*)(\.[0-9]*[1-9])?$/.test(v) && canonicalNumber(v) === undefined, "a bound has another form");
    bound = scaled(v, scale, offset);
  }
  wellFormed(bound !== undefined, "a bound is no number that the scale makes an integer");
  return bound;
}

function intervalOf(lo: Json, hi: Json, scaling: Scaling, bits: number, wide = false): Interval {
  const interval = { lo: boundOf(lo, scaling, wide), hi: boundOf(hi, scaling, wide) };
  wellFormed(0n <= interval.lo && interval.lo <= interval.hi && interval.hi < 2n ** BigInt(bits), "no interval");
  return interval;
}

export const RECORD_FIELDS = 8;

function fieldOf(p: Record<string, Json>): { at: Pointer[]; field: number } {
  const at = pointersOf(listOf(p.schema, RECORD_FIELDS));
  return { at, field: Number(integerOf(p.field, 0n, BigInt(at.length - 1))) };
}

export const hexOf = (elements: number[]): string => Buffer.from(u32(elements)).toString("hex");

// integerDigest returns the four limbs of an integer of 64 bits, and four zeros.
function integerDigest(v: bigint): number[] {
  const limbs = [0n, 16n, 32n, 48n].map((shift) => Number((v >> shift) & 0xffffn));
  return [...limbs, 0, 0, 0, 0];
}

// claimedValue returns the digest of a value that a claim is about, undefined if it has none.
// For a number it returns the integer, too.
export function claimedValue(v: Json, { scale, offset }: Scaling): { digest: number[]; integer?: bigint } | undefined {
  if (typeof v === "string") return { digest: H("TD-V2-text", text(v)) };
  if (v === null || typeof v === "boolean") return { digest: H("TD-V2-literal", text(canonical(v))) };
  if (!(v instanceof Numeral)) return undefined;
  const integer = v.scaled(scale, offset);
  if (integer === undefined || integer < 0n || integer >= 2n ** 64n) return undefined;
  return { digest: integerDigest(integer), integer };
}

function givenValue(v: Json, scaling: Scaling): string {
  const value = claimedValue(v, scaling);
  wellFormed(value !== undefined, "a value has no digest");
  return hexOf(value.digest);
}

export function parseParams(claim: string, raw: Uint8Array): Params {
  const params = readable(() => parse(raw, MOST_BYTES), () => "malformed_request");
  wellFormed(canonical(params) === Buffer.from(raw).toString("utf8"), "not canonical");
  const parser = parsers.get(claim);
  if (parser === undefined) throw new Refusal("unknown_claim", "no such claim");
  return parser(params);
}

const parsers = new Map<string, (p: Json) => Params>([
  ["open/1", (v) => {
    membersOf(v);
    return { claim: "open/1" };
  }],
  ["range/1", (v) => {
    const p = membersOf(v, "values", "scale", "offset");
    const scaling = scalingOf(p);
    const values = listOf(p.values, 7).map((value) => membersOf(value, "at", "lo", "hi"));
    const at = pointersOf(values.map((value) => value.at));
    return { claim: "range/1", at, intervals: values.map(({ lo, hi }) => intervalOf(lo, hi, scaling, 32)), ...scaling };
  }],
  ["sum/1", (v) => {
    const p = membersOf(v, "at", "lo", "hi", "scale");
    const scaling = scalingOf(p);
    return { claim: "sum/1", at: pointersOf(listOf(p.at, 14)), ...intervalOf(p.lo, p.hi, scaling, 36), ...scaling };
  }],
  ["record-range/1", (v) => {
    const p = membersOf(v, "schema", "field", "lo", "hi", "scale", "offset");
    const scaling = scalingOf(p);
    return { claim: "record-range/1", ...fieldOf(p), ...intervalOf(p.lo, p.hi, scaling, 64, true), ...scaling };
  }],
  ["record-equals/1", (v) => {
    const p = membersOf(v, "schema", "field", "value", "scale", "offset");
    const scaling = scalingOf(p);
    return { claim: "record-equals/1", ...fieldOf(p), value: givenValue(p.value, scaling), ...scaling };
  }],
  ["record-oneof/1", (v) => {
    const p = membersOf(v, "schema", "field", "values", "scale", "offset");
    const scaling = scalingOf(p);
    const values = listOf(p.values, 8).map((value) => givenValue(value, scaling));
    while (values.length < 8) values.push(values[values.length - 1]);
    return { claim: "record-oneof/1", ...fieldOf(p), values, ...scaling };
  }],
  ["group/1", (v) => {
    const p = membersOf(v, "list", "name", "scope", "nullifier");
    const params = { claim: "group/1" as const, list: textOf(p.list), name: textOf(p.name), scope: textOf(p.scope), nullifier: textOf(p.nullifier) };
    wellFormed(/^[0-9a-f]{64}$/.test(params.list), "no id of a list");
    wellFormed(checkName(params.name), "no name");
    wellFormed(/^[a-z0-9._:/-]{1,128}$/.test(params.scope), "no scope");
    wellFormed(isDigest(params.nullifier), "no nullifier");
    return params;
  }],
  ["series-range/1", (v) => {
    const p = membersOf(v, "at", "count", "lo", "hi", "sumlo", "sumhi", "scale", "offset");
    const scaling = scalingOf(p);
    const count = Number(integerOf(p.count, 1n, 1024n));
    const interval = intervalOf(p.lo, p.hi, scaling, 30);
    const n = BigInt(count);
    const sums = intervalOf(p.sumlo, p.sumhi, { scale: scaling.scale, offset: n * scaling.offset }, 40, true);
    wellFormed(n * interval.lo <= sums.lo && sums.hi <= n * interval.hi, "a sum is outside of the intervals");
    return { claim: "series-range/1", at: pointerOf(p.at), count, sums, ...interval, ...scaling };
  }],
]);

// requireList refuses parameters that are about another list, or about none.
export function requireList(p: Params, list?: List): asserts list {
  wellFormed(p.claim === "group/1" && list !== undefined && list.id === p.list && list.name === p.name, "another list");
}

// statementOf returns the statement of parameters about a commitment. group/1 needs the list.
export function statementOf(p: Params, commitment: string, list?: List): Claim {
  digest(commitment);
  switch (p.claim) {
    case "open/1":
      return { claim: p.claim, commitment };
    case "range/1":
      return { claim: p.claim, commitment, intervals: p.intervals.map(({ lo, hi }) => [Number(lo), Number(hi)]) };
    case "sum/1":
      return { claim: p.claim, commitment, count: p.at.length, lo: Number(p.lo), hi: Number(p.hi) };
    case "record-range/1":
      return { claim: p.claim, commitment, field: p.field, lo: String(p.lo), hi: String(p.hi) };
    case "record-equals/1":
      return { claim: p.claim, commitment, field: p.field, value: p.value };
    case "record-oneof/1":
      return { claim: p.claim, commitment, field: p.field, values: p.values };
    case "group/1":
      requireList(p, list);
      return { claim: p.claim, commitment, depth: list.depth, root: hexOf(list.root), scope: hexOf(scopeOf(p.name, p.scope)), nullifier: p.nullifier };
    case "series-range/1":
      return { claim: p.claim, commitment, count: p.count, lo: Number(p.lo), hi: Number(p.hi), sumlo: Number(p.sums.lo), sumhi: Number(p.sums.hi) };
  }
}
