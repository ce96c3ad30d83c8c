// The claims (section 10): native rules, public values and circuits.

import { Builder, Digest, Value, compile, constant, digestOf, limbs, minus, number, plus, System, zeros } from "./circuit.js";
import { P } from "./field.js";
import { H } from "./hash.js";
import { Params } from "./verify.js";

// A statement of a claim in a session. Anchor, context and tag are a, c and t.
export type Statement = { anchor: string; context: string; tag: string } & Claim;

// A Claim is a statement outside of a session. Digests are 64 hexadecimal digits, integers of
// 64 bits are decimals.
export type Claim = { commitment: string } & (
  | { claim: "open/1" }
  | { claim: "range/1"; intervals: [number, number][] }
  | { claim: "sum/1"; count: number; lo: number; hi: number }
  | { claim: "record-range/1"; field: number; lo: string; hi: string }
  | { claim: "record-equals/1"; field: number; value: string }
  | { claim: "record-oneof/1"; field: number; values: string[] }
  | { claim: "group/1"; depth: number; root: string; scope: string; nullifier: string }
  | { claim: "series-range/1"; count: number; lo: number; hi: number; sumlo: number; sumhi: number }
);

export class Refused extends Error {}

export function refuseUnless(condition: boolean, why: string): void {
  if (!condition) throw new Refused(why);
}

// digest decodes 8 elements.
export function digest(hex: string): number[] {
  refuseUnless(/^[0-9a-f]{64}$/.test(hex), "a digest is not 32 bytes");
  const elements = Array.from({ length: 8 }, (_, i) => parseInt(hex.slice(8 * i, 8 * i + 8), 16));
  refuseUnless(elements.every((x) => x < P), "an element is not below p");
  return elements;
}

const whole = (x: number, from: number, to: number): boolean => Number.isInteger(x) && from <= x && x <= to;

// limbsOf returns the limbs of an integer below 2^53.
const limbsOf = (v: number, bits: number): number[] =>
  Array.from({ length: Math.ceil(bits / 16) }, (_, i) => Math.floor(v / 2 ** (16 * i)) % 65536);

// limbsOf64 returns the limbs of a decimal below 2^64.
function limbsOf64(decimal: string): number[] {
  refuseUnless(/^(0|[1-9][0-9]{0,19})$/.test(decimal), "an integer is not a decimal");
  const v = [0, 0, 0, 0];
  for (const c of decimal) {
    let carry = Number(c);
    for (let i = 0; i < 4; i++) {
      carry += v[i] * 10;
      v[i] = carry % 65536;
      carry = Math.floor(carry / 65536);
    }
    refuseUnless(carry === 0, "an integer is not below 2^64");
  }
  return v;
}

// atMost compares integers by their limbs.
function atMost(x: number[], y: number[]): boolean {
  for (let i = x.length - 1; i >= 0; i--) if (x[i] !== y[i]) return x[i] < y[i];
  return true;
}

export const width = (s: { lo: number; hi: number }): number => Math.max(1, 32 - Math.clz32(s.hi - s.lo));
export const sumBits = (w: number): number => 16 * Math.ceil(w / 16) + 10;

// check applies the native rule and returns the public values and what distinguishes the
// circuit.
export function check(s: Statement): { publics: number[]; number: number; width: number } {
  const { publics, number, width } = checkClaim(s);
  return { publics: [...digest(s.anchor), ...digest(s.context), ...digest(s.tag), ...publics], number, width };
}

// checkClaim is check outside of a session: without a, c and t.
export function checkClaim(s: Claim): { publics: number[]; number: number; width: number } {
  const cm = digest(s.commitment);
  switch (s.claim) {
    case "open/1":
      return { publics: cm, number: 0, width: 0 };
    case "range/1":
      refuseUnless(whole(s.intervals.length, 1, 7), "not 1 to 7 intervals");
      for (const [lo, hi] of s.intervals) refuseUnless(whole(lo, 0, hi) && whole(hi, 0, 2 ** 32 - 1), "an interval is empty");
      return { publics: [...cm, ...s.intervals.flatMap(([lo, hi]) => [...limbsOf(lo, 32), ...limbsOf(hi, 32)])], number: s.intervals.length, width: 0 };
    case "sum/1":
      refuseUnless(whole(s.count, 1, 14) && whole(s.lo, 0, s.hi) && whole(s.hi, 0, 2 ** 36 - 1), "not a sum");
      return { publics: [...cm, ...limbsOf(s.lo, 36), ...limbsOf(s.hi, 36)], number: s.count, width: 0 };
    case "record-range/1": {
      const [lo, hi] = [limbsOf64(s.lo), limbsOf64(s.hi)];
      refuseUnless(whole(s.field, 0, 7) && atMost(lo, hi), "not a field or an interval");
      return { publics: [...cm, ...lo, ...hi], number: s.field, width: 0 };
    }
    case "record-equals/1":
      refuseUnless(whole(s.field, 0, 7), "not a field");
      return { publics: [...cm, ...digest(s.value)], number: s.field, width: 0 };
    case "record-oneof/1":
      refuseUnless(whole(s.field, 0, 7) && s.values.length === 8, "not a field or 8 values");
      return { publics: [...cm, ...s.values.flatMap(digest)], number: s.field, width: 0 };
    case "group/1": {
      const [root, scope, nullifier] = [digest(s.root), digest(s.scope), digest(s.nullifier)];
      refuseUnless(whole(s.depth, 1, 17) && scope.some((x, i) => x !== (i === 0 ? 1 : 0)), "not a depth or a scope");
      return { publics: [...cm, ...root, ...scope, ...nullifier], number: s.depth, width: 0 };
    }
    case "series-range/1": {
      refuseUnless(whole(s.count, 1, 1024) && whole(s.lo, 0, 2 ** 30 - 1) && whole(s.hi, 0, 2 ** 30 - 1), "not a series");
      refuseUnless(whole(s.sumlo, s.count * s.lo, s.sumhi) && whole(s.sumhi, 0, s.count * s.hi), "not an interval of sums");
      const bits = sumBits(width(s));
      const all = s.count * s.lo;
      return { publics: [...cm, s.lo, s.hi, ...limbsOf(s.sumlo - all, bits), ...limbsOf(s.sumhi - all, bits)], number: s.count, width: width(s) };
    }
    default:
      throw new Refused("no such claim");
  }
}

function constrainCommitment(b: Builder, id: string, h: Digest, f: Digest, cm: Digest): void {
  const t = H("TD-V2-claim", Buffer.from(id));
  b.equalDigests(b.compress(h, f.map((x, i) => plus(x, constant(t[i])))), cm);
}

function constrainField(b: Builder, id: string, field: number, value: Digest, cm: Digest): void {
  let node = b.compress(value, b.secretDigest());
  for (let level = 0; level < 3; level++) {
    const sibling = b.secretDigest();
    node = (field >> level) & 1 ? b.compress(sibling, node) : b.compress(node, sibling);
  }
  constrainCommitment(b, id, b.secretDigest(), node, cm);
}

// pack has bits 28i .. 28i + 27 in element i.
const pack = (bits: Value[]): Digest => zeros().map((_, i) => number(bits.slice(28 * i, 28 * i + 28)));

const padded = (values: Value[]): Digest => zeros().map((zero, i) => values[i] ?? zero);

// define makes the circuit of one statement.
function define(b: Builder, claim: Statement["claim"], n: number, w: number): void {
  const cm = b.publicList(8);
  switch (claim) {
    case "open/1": {
      const h = b.compress(b.secretDigest(), b.secretDigest());
      return constrainCommitment(b, claim, h, zeros(), cm);
    }
    case "range/1": {
      const all: Value[] = [];
      for (let i = 0; i < n; i++) {
        const [lo, hi] = [b.publicList(2), b.publicList(2)];
        const bits = b.bits(32);
        b.atMost(lo, limbs(bits), 32);
        b.atMost(limbs(bits), hi, 32);
        all.push(...bits);
      }
      return constrainCommitment(b, claim, b.secretDigest(), pack(all), cm);
    }
    case "sum/1": {
      const [lo, hi] = [b.publicList(3), b.publicList(3)];
      const values = Array.from({ length: n }, () => b.bits(32));
      const s = b.sum(values.map(limbs), 4);
      b.atMost(lo, s, 36);
      b.atMost(s, hi, 36);
      const f = b.compress(pack(values.slice(0, 7).flat()), pack(values.slice(7).flat()));
      return constrainCommitment(b, claim, b.secretDigest(), f, cm);
    }
    case "record-range/1": {
      const [lo, hi] = [b.publicList(4), b.publicList(4)];
      const v = limbs(b.bits(64));
      b.atMost(lo, v, 64);
      b.atMost(v, hi, 64);
      return constrainField(b, claim, n, padded(v), cm);
    }
    case "record-equals/1":
      return constrainField(b, claim, n, b.publicList(8), cm);
    case "record-oneof/1": {
      let values = Array.from({ length: 8 }, () => b.publicList(8));
      while (values.length > 1) {
        const bit = b.bit();
        const next: Digest[] = [];
        for (let i = 0; i < values.length; i += 2) next.push(b.select(bit, values[i], values[i + 1]));
        values = next;
      }
      return constrainField(b, claim, n, values[0], cm);
    }
    case "group/1": {
      const [root, scope, nullifier] = [b.publicList(8), b.publicList(8), b.publicList(8)];
      const sk = b.secretDigest();
      let node = b.compress(sk, padded([constant(1)]));
      for (let level = 0; level < n; level++) {
        const bit = b.bit();
        const sibling = b.secretDigest();
        const left = b.select(bit, node, sibling);
        node = b.compress(left, node.map((x, i) => minus(plus(x, sibling[i]), left[i])));
      }
      b.equalDigests(node, root);
      return b.equalDigests(b.compress(sk, scope), nullifier);
    }
    case "series-range/1": {
      const [lo, hi] = [b.public(), b.public()];
      const bits = sumBits(w);
      const [sumlo, sumhi] = [b.publicList(Math.ceil(bits / 16)), b.publicList(Math.ceil(bits / 16))];
      let f = padded([constant(n)]);
      let block: Value[] = [];
      const all: Value[][] = [];
      for (let i = 0; i < n; i++) {
        const above = b.bits(w);
        const below = b.bits(w);
        const v = plus(lo, number(above));
        b.equal(plus(v, number(below)), hi);
        all.push(limbs(above));
        block.push(v);
        if (block.length === 8 || i === n - 1) {
          f = b.compress(f, padded(block));
          block = [];
        }
      }
      const s = b.sum(all, 10);
      b.atMost(sumlo, s, bits);
      b.atMost(s, sumhi, bits);
      return constrainCommitment(b, claim, b.secretDigest(), f, cm);
    }
  }
}

// params are those for a number of values (section 4).
function params(values: number): Params {
  if (values <= 2000) return { l: 64, n: 2048, t: 147, D: 5 };
  if (values <= 11600) return { l: 128, n: 4096, t: 142, D: 5 };
  if (values <= 80000) return { l: 512, n: 8192, t: 147, D: 5 };
  return { l: 1024, n: 16384, t: 146, D: 5 };
}

export interface Circuit {
  builder: Builder;
  params: Params;
  system: System;
  digest: Uint8Array;
}

// circuitOf makes the circuit of as many statements of one kind.
export function circuitOf(claim: Statement["claim"], n: number, w: number, count: number): Circuit {
  const b = new Builder();
  for (let i = 0; i < count; i++) {
    b.publicList(24); // a, c and t, which are in no equation
    define(b, claim, n, w);
  }
  const p = params(b.values());
  const system = compile(b, p.l);
  return { builder: b, params: p, system, digest: digestOf(system) };
}

// publicsOf applies the rules to the statements of one proof.
export function publicsOf(statements: Statement[]): { publics: Int32Array; number: number; width: number } {
  refuseUnless(whole(statements.length, 1, 64), "not 1 to 64 statements");
  const checked = statements.map(check);
  const first = checked[0];
  refuseUnless(
    statements.every((s, i) => s.claim === statements[0].claim && checked[i].number === first.number && checked[i].width === first.width),
    "statements of several circuits",
  );
  refuseUnless(statements[0].claim !== "series-range/1" || first.number * statements.length <= 1024, "too many readings");
  return { publics: Int32Array.from(checked.flatMap((c) => c.publics)), number: first.number, width: first.width };
}
