// Verification (sections 5 and 6).

import { Circuit, Refused, Statement, circuitOf, publicsOf, refuseUnless } from "./claims.js";
import { combine } from "./circuit.js";
import { P, add, dot, invertAll, inverse, mul, pow, reversed, root, sub } from "./field.js";
import { D, Stream, sha256, u32 } from "./hash.js";

export interface Params {
  l: number;
  n: number;
  t: number;
  D: number;
}

// elements decodes elements and refuses those that are not below p.
function elements(b: Uint8Array): Int32Array {
  const view = new DataView(b.buffer, b.byteOffset, b.length);
  const v = new Int32Array(b.length / 4);
  for (let i = 0; i < v.length; i++) {
    const x = view.getUint32(4 * i);
    refuseUnless(x < P, "an element is not below p");
    v[i] = x;
  }
  return v;
}

// climb computes the root, taking nodes in the order of section 5. Without nodes it counts
// those that a proof must have.
function climb(n: number, leaves: Map<number, Uint8Array>, nodes: Uint8Array[] | null): { root: Uint8Array; used: number } {
  let level = leaves;
  let used = 0;
  for (let size = n; size > 1; size /= 2) {
    const above = new Map<number, Uint8Array>();
    for (const j of [...level.keys()].sort((a, b) => a - b)) {
      if (above.has(j >> 1)) continue; // its sibling is known and was seen
      const own = level.get(j)!;
      let other = level.get(j ^ 1);
      if (other === undefined) other = nodes === null ? (used++, own) : nodes[used++];
      above.set(j >> 1, nodes === null ? own : sha256(Uint8Array.of(1), j & 1 ? other : own, j & 1 ? own : other));
    }
    level = above;
  }
  return { root: level.get(0)!, used };
}

// powers returns 1, x, x^2, .. of a point.
function powers(x: number, count: number): Int32Array {
  const v = new Int32Array(count);
  v[0] = 1;
  for (let i = 1; i < count; i++) v[i] = mul(v[i - 1], x);
  return v;
}

// lagrange returns, for each slot, the polynomial at x that is 1 there and 0 at the others.
function lagrange(x: number, l: number, slots: Int32Array): Int32Array {
  const v = slots.map((h) => sub(x, h));
  invertAll(v);
  const scale = mul(sub(pow(x, l), 1), inverse(l));
  return v.map((y, i) => mul(mul(y, scale), slots[i]));
}

// verifyProof throws Refused unless the proof shows the system for these public values.
export function verifyProof(circuit: Circuit, publics: Int32Array, proof: Uint8Array): void {
  const { l, n, t, D: components } = circuit.params;
  const s = circuit.system;
  refuseUnless(publics.length === s.publics, "wrong number of public values");
  const k = l + t;
  const d = 2 * k + l - 2;
  const width = s.rows + 2 * components;
  const atT = 32 + 4 * components * k;
  const atColumns = atT + 4 * components * (d - 1);
  const column = 32 + 4 * width;
  const atPath = atColumns + t * column;
  refuseUnless(proof.length >= atPath, "too short");

  const rootHash = proof.subarray(0, 32);
  const h0 = D("TD-V2-proof", circuit.digest, u32([l, n, t, components, s.rows]), Buffer.concat([u32([publics.length]), u32(publics)]), rootHash);
  const h1 = D("TD-V2-poly", h0, proof.subarray(32, atT), proof.subarray(atT, atColumns));
  const positions = new Stream(h1, 32).positions(n, t);

  const leaves = new Map<number, Uint8Array>();
  const columns = positions.map((j, i) => {
    const b = proof.subarray(atColumns + i * column, atColumns + (i + 1) * column);
    leaves.set(j, sha256(Uint8Array.of(0), b));
    return b;
  });
  const count = climb(n, leaves, null).used;
  refuseUnless(proof.length === atPath + 32 * count, "wrong length");
  const U = elements(proof.subarray(32, atT));
  const T = elements(proof.subarray(atT, atColumns));
  const values = columns.map((b) => elements(b.subarray(32)));
  const nodes = Array.from({ length: count }, (_, i) => proof.subarray(atPath + 32 * i, atPath + 32 * (i + 1)));
  refuseUnless(Buffer.compare(climb(n, leaves, nodes).root, rootHash) === 0, "wrong root");

  const bits = Math.log2(n);
  const rootOfN = root(n);
  const points = positions.map((j) => mul(3, pow(rootOfN, reversed(j, bits))));
  const slots = Int32Array.from({ length: l }, (_, i) => pow(root(l), reversed(i, Math.log2(l))));
  const atSlots = points.map((x) => lagrange(x, l, slots));
  const atPowers = points.map((x) => powers(x, d));
  const products = values.map((v) => Int32Array.from(s.products, ([a, b]) => mul(v[a], v[b])));

  for (let m = 0; m < components; m++) {
    const rowWeights = new Stream(h0, m).elements(s.rows);
    const weights = new Stream(h0, 16 + m).elements(s.equations);
    const { linear, quadratic, sum } = combine(s, weights, publics);
    const u = U.subarray(m * k, (m + 1) * k);
    const tm = new Int32Array(d);
    tm.set(T.subarray(m * (d - 1), (m + 1) * (d - 1)), 1);
    tm[0] = mul(sum, inverse(l));
    for (let i = l; i < d; i += l) tm[0] = sub(tm[0], tm[i]);
    for (let q = 0; q < t; q++) {
      const v = values[q];
      const wantU = add(v[s.rows + m], dot(v, 0, rowWeights, s.rows));
      refuseUnless(dot(atPowers[q], 0, u, k) === wantU, "a column does not agree with U");
      let wantT = v[s.rows + components + m];
      for (let i = 0; i < s.rows; i++) wantT = add(wantT, mul(v[i], dot(linear, i * l, atSlots[q], l)));
      for (let i = 0; i < products[q].length; i++) wantT = add(wantT, mul(products[q][i], dot(quadratic, i * l, atSlots[q], l)));
      refuseUnless(dot(atPowers[q], 0, tm, d) === wantT, "a column does not agree with T");
    }
  }
}

// Verifier keeps the circuits that it has made.
export class Verifier {
  private readonly circuits = new Map<string, Circuit>();

  // verify reports why a proof does not show the statements, and nothing if it does.
  verify(statements: Statement[], proof: Uint8Array): string | undefined {
    try {
      const { publics, number, width } = publicsOf(statements);
      const key = [statements[0].claim, number, width, statements.length].join();
      let circuit = this.circuits.get(key);
      if (circuit === undefined) {
        if (this.circuits.size >= 100) this.circuits.clear();
        circuit = circuitOf(statements[0].claim, number, width, statements.length);
        this.circuits.set(key, circuit);
      }
      verifyProof(circuit, publics, proof);
      return undefined;
    } catch (e) {
      if (e instanceof Refused) return e.message;
      throw e;
    }
  }
}
