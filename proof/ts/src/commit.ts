// The witness of an event: the statement with its commitment, and the secrets of the circuit
// (sections 3.1, 10 and 11).

import { Claim, digest, sumBits, width } from "./claims.js";
import { add } from "./field.js";
import { H, text, u32 } from "./hash.js";
import { Json, JsonObject, canonical, parse } from "./json.js";
import { List } from "./list.js";
import { Params, Pointer, RECORD_FIELDS, claimedValue, hexOf, requireList, statementOf } from "./params.js";
import { compress } from "./poseidon.js";
import { Refusal, readable } from "./refusal.js";

export interface Witness {
  statement: Claim;
  secrets: number[];
}

const ZEROS: number[] = new Array(8).fill(0);
const ONE = [1, 0, 0, 0, 0, 0, 0, 0];

const MOST_EVENT = 64 * 1024;

function encodable(condition: boolean, why: string): asserts condition {
  if (!condition) throw new Refusal("event_not_encodable", why);
}

function holds(condition: boolean): asserts condition {
  if (!condition) throw new Refusal("statement_false", "the event does not satisfy the claim");
}

function parseEvent(raw: Uint8Array): JsonObject {
  return readable(() => parse(raw, MOST_EVENT), () => "event_not_canonicalisable");
}

// resolve returns what a pointer names, or refuses the event.
function resolve(event: Json, pointer: Pointer): Json {
  let v: Json | undefined = event;
  for (const part of pointer) {
    if (v instanceof Map) v = v.get(part);
    else if (Array.isArray(v) && /^(0|[1-9][0-9]*)$/.test(part)) v = v[Number(part)];
    else v = undefined;
  }
  encodable(v !== undefined, "a pointer does not resolve");
  return v;
}

// integerOf returns the integer of a number by scale and offset, or refuses the event.
function integerOf(v: Json, p: { scale: number; offset: bigint }, bits: number): bigint {
  const integer = claimedValue(v, p)?.integer;
  encodable(integer !== undefined && integer < 2n ** BigInt(bits), `no integer of ${bits} bits`);
  return integer;
}

const between = (lo: bigint, v: bigint, hi: bigint): boolean => lo <= v && v <= hi;

const limb = (v: bigint, i: number): bigint => (v >> BigInt(16 * i)) & 0xffffn;

// Secrets collects the secrets of a circuit, in its order.
class Secrets {
  readonly all: number[] = [];

  digest(d: number[]): void {
    this.all.push(...d);
  }

  bits(v: bigint, n: number): void {
    for (let i = 0; i < n; i++) this.all.push(Number((v >> BigInt(i)) & 1n));
  }

  // atMost appends the difference of x and y, and the carries of its addition to x.
  atMost(x: bigint, y: bigint, bits: number): void {
    const d = y - x;
    this.bits(d, bits);
    let carry = 0n;
    for (let i = 0; i < Math.ceil(bits / 16) - 1; i++) {
      carry = (limb(x, i) + limb(d, i) + carry) >> 16n;
      this.bits(carry, 1);
    }
  }

  // sum appends the sum of integers of n limbs and the carries of their addition, and returns
  // the sum.
  sum(values: bigint[], n: number, carryBits: number): bigint {
    const sum = values.reduce((s, v) => s + v, 0n);
    this.bits(sum, 16 * n + carryBits);
    let carry = 0n;
    for (let i = 0; i < n - 1; i++) {
      carry = values.reduce((s, v) => s + limb(v, i), carry) >> 16n;
      this.bits(carry, carryBits);
    }
    return sum;
  }
}

// pack returns 8 elements of 28 bits, which hold the values of 32 bits one after another.
function pack(values: bigint[]): number[] {
  const all = values.reduce((sum, v, i) => sum | (v << BigInt(32 * i)), 0n);
  return ZEROS.map((_, i) => Number((all >> BigInt(28 * i)) & 0xfffffffn));
}

// opened returns e, h and the commitment. f is the encoding of the fields.
function opened(claim: string, event: JsonObject, blind: number[], f: number[]): { e: number[]; h: number[]; commitment: string } {
  const e = H("TD-V2-event", text(canonical(event)));
  const h = compress(e, blind);
  const t = H("TD-V2-claim", text(claim));
  return { e, h, commitment: hexOf(compress(h, f.map((x, i) => add(x, t[i])))) };
}

// commit returns the witness of an event, which need not be canonical. group/1 has a function
// of its own, commitMember.
export function commit(p: Params, raw: Uint8Array, blind: number[]): Witness {
  const event = parseEvent(raw);
  const secrets = new Secrets();
  const finish = (f: number[]): Witness => {
    const { h, commitment } = opened(p.claim, event, blind, f);
    secrets.digest(h);
    return { statement: statementOf(p, commitment), secrets: secrets.all };
  };
  switch (p.claim) {
    case "open/1": {
      const { e, commitment } = opened(p.claim, event, blind, ZEROS);
      return { statement: statementOf(p, commitment), secrets: [...e, ...blind] };
    }
    case "range/1": {
      const values = p.at.map((at) => integerOf(resolve(event, at), p, 32));
      values.forEach((v, i) => {
        const { lo, hi } = p.intervals[i];
        holds(between(lo, v, hi));
        secrets.bits(v, 32);
        secrets.atMost(lo, v, 32);
        secrets.atMost(v, hi, 32);
      });
      return finish(pack(values));
    }
    case "sum/1": {
      const values = p.at.map((at) => integerOf(resolve(event, at), p, 32));
      for (const v of values) secrets.bits(v, 32);
      const sum = secrets.sum(values, 2, 4);
      holds(between(p.lo, sum, p.hi));
      secrets.atMost(p.lo, sum, 36);
      secrets.atMost(sum, p.hi, 36);
      return finish(compress(pack(values.slice(0, 7)), pack(values.slice(7))));
    }
    case "record-range/1":
    case "record-equals/1":
    case "record-oneof/1":
      return finish(commitField(p, event, blind, secrets));
    case "group/1":
      throw new Refusal("malformed_request", "a member's secret is needed");
    case "series-range/1":
      return finish(commitSeries(p, event, secrets));
  }
}

// commitSeries appends the secrets of a series, and returns its encoding.
function commitSeries(p: Params & { claim: "series-range/1" }, event: JsonObject, secrets: Secrets): number[] {
  const list = resolve(event, p.at);
  encodable(Array.isArray(list) && list.length === p.count, `no list of ${p.count} numbers`);
  const values = list.map((v) => integerOf(v, p, 30));
  const w = width({ lo: Number(p.lo), hi: Number(p.hi) });
  for (const v of values) {
    holds(between(p.lo, v, p.hi));
    secrets.bits(v - p.lo, w);
    secrets.bits(p.hi - v, w);
  }
  const least = BigInt(p.count) * p.lo;
  const sum = secrets.sum(values.map((v) => v - p.lo), Math.ceil(w / 16), 10);
  holds(between(p.sums.lo - least, sum, p.sums.hi - least));
  secrets.atMost(p.sums.lo - least, sum, sumBits(w));
  secrets.atMost(sum, p.sums.hi - least, sumBits(w));
  let f = [p.count, ...ZEROS.slice(1)];
  for (let i = 0; i < values.length; i += 8) f = compress(f, ZEROS.map((_, j) => Number(values[i + j] ?? 0n)));
  return f;
}

// commitField appends the secrets of a record's field, and returns the root of the record.
function commitField(p: Extract<Params, { field: number }>, event: JsonObject, blind: number[], secrets: Secrets): number[] {
  const fields = p.at.map((at) => resolve(event, at));
  const claimed = claimedValue(fields[p.field], p);
  encodable(claimed !== undefined, "the claimed field has no digest");
  if (p.claim === "record-range/1") {
    const v = claimed.integer;
    holds(v !== undefined && between(p.lo, v, p.hi));
    secrets.bits(v, 64);
    secrets.atMost(p.lo, v, 64);
    secrets.atMost(v, p.hi, 64);
  } else if (p.claim === "record-equals/1") {
    holds(p.value === hexOf(claimed.digest));
  } else {
    const place = p.values.lastIndexOf(hexOf(claimed.digest));
    holds(place >= 0);
    secrets.bits(BigInt(place), 3);
  }
  const value = (i: number): number[] => {
    if (i === p.field) return claimed.digest;
    return i < fields.length ? H("TD-V2-value", text(canonical(fields[i]))) : ZEROS;
  };
  const salt = (i: number): number[] => H("TD-V2-salt", Buffer.concat([u32(blind), Uint8Array.of(i)]));
  let level = Array.from({ length: RECORD_FIELDS }, (_, i) => compress(value(i), salt(i)));
  secrets.digest(salt(p.field));
  for (let at = p.field; level.length > 1; at >>= 1) {
    secrets.digest(level[at ^ 1]);
    level = level.filter((_, i) => i % 2 === 0).map((left, i) => compress(left, level[2 * i + 1]));
  }
  return level[0];
}

// commitMember returns the witness of group/1 for a member's secret.
export function commitMember(p: Params, raw: Uint8Array, blind: number[], list: List, secret: number[]): Witness {
  requireList(p, list);
  const event = parseEvent(raw);
  const { commitment } = opened(p.claim, event, blind, ZEROS);
  const statement = statementOf(p, commitment, list) as Claim & { claim: "group/1" };
  const member = list.members.indexOf(hexOf(compress(secret, ONE)));
  holds(member >= 0 && hexOf(compress(secret, digest(statement.scope))) === statement.nullifier);
  const secrets = new Secrets();
  secrets.digest(secret);
  list.siblings(member).forEach((sibling, level) => {
    secrets.bits(BigInt(member >> level), 1);
    secrets.digest(sibling);
  });
  return { statement, secrets: secrets.all };
}
