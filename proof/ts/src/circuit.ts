// Circuits and their layout as systems (section 3).

import { P, add, mul, sub } from "./field.js";
import { D, u32 } from "./hash.js";
import { ROUNDS, WIDTH, constants, isFull, matrix } from "./poseidon.js";

// A reference is kind · 2^24 + number.
const ONE = 0, PUBLIC = 1, SECRET = 2, SQUARE = 3, LEFT = 4, RIGHT = 5, DOUBLE = 6, PRODUCT = 7;
const KIND = 2 ** 24;

// Value is a linear expression: the factor of each reference, none of them 0.
export type Value = Map<number, number>;
export type Digest = Value[];

const single = (kind: number, number: number): Value => new Map([[kind * KIND + number, 1]]);
export const constant = (x: number): Value => (x === 0 ? new Map() : new Map([[ONE, x]]));
export const zeros = (): Digest => Array.from({ length: 8 }, () => constant(0));

// addTo adds factor · v to a sum.
function addTo(sum: Value, v: Value, factor: number): void {
  for (const [of, f] of v) {
    const x = add(sum.get(of) ?? 0, mul(f, factor));
    if (x === 0) sum.delete(of);
    else sum.set(of, x);
  }
}

export function plus(...values: Value[]): Value {
  const sum = new Map(values[0]);
  for (const v of values.slice(1)) addTo(sum, v, 1);
  return sum;
}

export function minus(v: Value, w: Value): Value {
  const sum = new Map(v);
  addTo(sum, w, P - 1);
  return sum;
}

export function times(v: Value, factor: number): Value {
  const sum: Value = new Map();
  addTo(sum, v, factor);
  return sum;
}

// number returns the sum of bits[i] · 2^i.
export function number(bits: Value[]): Value {
  const sum: Value = new Map();
  bits.forEach((bit, i) => addTo(sum, bit, 2 ** i));
  return sum;
}

// limbs returns the limbs of an integer with these bits.
export function limbs(bits: Value[]): Value[] {
  const v: Value[] = [];
  for (let i = 0; i < bits.length; i += 16) v.push(number(bits.slice(i, i + 16)));
  return v;
}

export class Builder {
  publics = 0;
  secrets = 0;
  gates = 0;
  readonly factors: { left: Value; right: Value | null }[] = []; // a cube has no right one
  readonly equations: Value[] = [];

  public(): Value {
    return single(PUBLIC, this.publics++);
  }
  publicList(n: number): Value[] {
    return Array.from({ length: n }, () => this.public());
  }
  secret(): Value {
    return single(SECRET, this.secrets++);
  }
  secretDigest(): Digest {
    return Array.from({ length: 8 }, () => this.secret());
  }
  bit(): Value {
    const v = this.secret();
    this.equations.push(minus(v, single(SQUARE, this.secrets - 1)));
    return v;
  }
  bits(n: number): Value[] {
    return Array.from({ length: n }, () => this.bit());
  }
  equal(v: Value, w: Value): void {
    this.equations.push(minus(v, w));
  }
  equalDigests(d: Digest, e: Digest): void {
    d.forEach((x, i) => this.equal(x, e[i]));
  }
  multiply(left: Value, right: Value): Value {
    const g = this.gates++;
    this.factors.push({ left, right });
    this.equal(single(LEFT, g), left);
    this.equal(single(RIGHT, g), right);
    return single(PRODUCT, g);
  }
  cube(v: Value): Value {
    const g = this.gates++;
    this.factors.push({ left: v, right: null });
    this.equal(single(LEFT, g), v);
    this.equal(single(RIGHT, g), single(DOUBLE, g));
    return single(PRODUCT, g);
  }
  compress(x: Digest, y: Digest): Digest {
    let lanes = [...x, ...y];
    for (let r = 0; r < ROUNDS; r++) {
      for (let i = 0; i < (isFull(r) ? WIDTH : 1); i++) lanes[i] = this.cube(plus(lanes[i], constant(constants[r][i])));
      lanes = matrix.map((row) => {
        const sum: Value = new Map();
        row.forEach((m, j) => addTo(sum, lanes[j], m));
        return sum;
      });
    }
    return y.map((v, i) => plus(lanes[8 + i], v));
  }
  select(bit: Value, x: Digest, y: Digest): Digest {
    return x.map((v, i) => plus(v, this.multiply(bit, minus(y[i], v))));
  }
  atMost(x: Value[], y: Value[], bits: number): void {
    const d = limbs(this.bits(bits));
    let carry = constant(0);
    for (let i = 0; i < x.length; i++) {
      let sum = plus(x[i], d[i], carry);
      if (i < x.length - 1) {
        carry = this.bit();
        sum = minus(sum, times(carry, 65536));
      }
      this.equal(sum, y[i]);
    }
  }
  sum(values: Value[][], carryBits: number): Value[] {
    const n = values[0].length;
    const s = limbs(this.bits(16 * n + carryBits));
    let carry = constant(0);
    for (let i = 0; i < n; i++) {
      const total = new Map(carry);
      for (const v of values) addTo(total, v[i], 1);
      carry = i < n - 1 ? number(this.bits(carryBits)) : s[n];
      this.equal(total, plus(s[i], times(carry, 65536)));
    }
    return s;
  }
  values(): number {
    return 2 * this.gates + this.secrets;
  }
}

// System has its terms as flat lists of equation, place, factor.
export interface System {
  slots: number;
  rows: number;
  publics: number;
  equations: number;
  products: [number, number][];
  linear: number[];
  quadratic: number[];
  constant: number[];
}

// placesOf returns the places of left factors and of secrets, and the number of rows.
function placesOf(b: Builder, l: number) {
  const left = (g: number): number => Math.floor(g / l) * 2 * l + (g % l);
  const pairs = Math.ceil(b.gates / l);
  const used = b.gates % l;
  const free: number[] = []; // places for secrets in the last pair of rows
  if (used > 0) for (const row of [2 * pairs - 2, 2 * pairs - 1]) for (let i = used; i < l; i++) free.push(row * l + i);
  const secretPlace = (n: number): number => (n < free.length ? free[n] : 2 * pairs * l + n - free.length);
  const rows = Math.max(2 * pairs, Math.ceil((2 * pairs * l + b.secrets - free.length) / l));
  return { left, secretPlace, rows };
}

export function compile(b: Builder, l: number): System {
  const { left, secretPlace, rows } = placesOf(b, l);
  const locate = (of: number): { list: "linear" | "quadratic" | "constant"; place: number; row?: [number, number] } => {
    const kind = Math.floor(of / KIND);
    const n = of % KIND;
    if (kind === ONE) return { list: "constant", place: 0 };
    if (kind === PUBLIC) return { list: "constant", place: n + 1 };
    if (kind === SECRET) return { list: "linear", place: secretPlace(n) };
    if (kind === LEFT) return { list: "linear", place: left(n) };
    if (kind === RIGHT) return { list: "linear", place: left(n) + l };
    const place = kind === SQUARE ? secretPlace(n) : left(n);
    const row = Math.floor(place / l);
    return { list: "quadratic", place: place % l, row: kind === PRODUCT ? [row, row + 1] : [row, row] };
  };
  // A pair of rows (a, b) is numbered 2a + (b - a) until all are known.
  const pairsUsed = new Set<number>();
  for (const e of b.equations) {
    for (const of of e.keys()) {
      const at = locate(of);
      if (at.row) pairsUsed.add(2 * at.row[0] + at.row[1] - at.row[0]);
    }
  }
  const ordered = [...pairsUsed].sort((x, y) => x - y);
  const index = new Map(ordered.map((pair, i) => [pair, i]));
  const s: System = {
    slots: l, rows, publics: b.publics, equations: b.equations.length,
    products: ordered.map((pair) => [pair >> 1, (pair >> 1) + (pair & 1)]),
    linear: [], quadratic: [], constant: [],
  };
  b.equations.forEach((e, number) => {
    const terms = { linear: [] as number[][], quadratic: [] as number[][], constant: [] as number[][] };
    for (const [of, factor] of e) {
      const at = locate(of);
      const place = at.row ? index.get(2 * at.row[0] + at.row[1] - at.row[0])! * l + at.place : at.place;
      terms[at.list].push([place, factor]);
    }
    for (const list of ["linear", "quadratic", "constant"] as const) {
      terms[list].sort((x, y) => x[0] - y[0]);
      for (const [place, factor] of terms[list]) s[list].push(number, place, factor);
    }
  });
  return s;
}

// solve returns the values of all rows. It does not ask whether they satisfy the equations.
export function solve(b: Builder, l: number, secrets: Int32Array, publics: Int32Array): Int32Array {
  const { left, secretPlace, rows } = placesOf(b, l);
  const values = new Int32Array(rows * l);
  secrets.forEach((x, i) => (values[secretPlace(i)] = x));
  const read = (of: number): number => {
    const n = of % KIND;
    switch (Math.floor(of / KIND)) {
      case ONE: return 1;
      case PUBLIC: return publics[n];
      case SECRET: return values[secretPlace(n)];
      case SQUARE: return mul(values[secretPlace(n)], values[secretPlace(n)]);
      case LEFT: return values[left(n)];
      case RIGHT: return values[left(n) + l];
      case DOUBLE: return mul(values[left(n)], values[left(n)]);
      default: return mul(values[left(n)], values[left(n) + l]);
    }
  };
  const evaluate = (v: Value): number => {
    let sum = 0;
    for (const [of, factor] of v) sum = add(sum, mul(factor, read(of)));
    return sum;
  };
  b.factors.forEach(({ left: l1, right }, g) => {
    const x = evaluate(l1);
    values[left(g)] = x;
    values[left(g) + l] = right === null ? mul(x, x) : evaluate(right);
  });
  return values;
}

export function digestOf(s: System): Uint8Array {
  return D("TD-V2-circuit", u32([s.slots, s.rows, s.publics, s.equations]), u32(s.products.flat()), u32(s.linear), u32(s.quadratic), u32(s.constant));
}

// combine weighs all equations: the factors of places, and what their sum must be.
export function combine(s: System, weights: Int32Array, public_: Int32Array): { linear: Int32Array; quadratic: Int32Array; sum: number } {
  const linear = new Int32Array(s.rows * s.slots);
  const quadratic = new Int32Array(s.products.length * s.slots);
  for (const [terms, factors] of [[s.linear, linear], [s.quadratic, quadratic]] as const) {
    for (let i = 0; i < terms.length; i += 3) factors[terms[i + 1]] = add(factors[terms[i + 1]], mul(terms[i + 2], weights[terms[i]]));
  }
  let sum = 0;
  for (let i = 0; i < s.constant.length; i += 3) {
    const x = mul(s.constant[i + 2], weights[s.constant[i]]);
    sum = sub(sum, s.constant[i + 1] === 0 ? x : mul(x, public_[s.constant[i + 1] - 1]));
  }
  return { linear, quadratic, sum };
}
