// The prover (section 5). It runs in the time of JavaScript, which depends on values: it is
// for the machine of the holder alone.

import { Circuit, Refused } from "./claims.js";
import { combine, solve } from "./circuit.js";
import { add, inverse, mul, pow, reversed, root, sub } from "./field.js";
import { D, Stream, sha256, u32 } from "./hash.js";

// Domain is shift · H_n in bit-reversed order.
class Domain {
  private readonly twiddles: Int32Array[] = []; // by half: one for each block
  private readonly inverses: Int32Array[] = [];
  private readonly scale: number;

  constructor(readonly size: number, shift: number) {
    for (let half = size / 2; half >= 1; half /= 2) {
      // Block i of this level has the points whose power half is shift^half · ω^rev(i).
      const blocks = size / half / 2;
      const w = root(2 * blocks);
      const first = pow(shift, half);
      const level = Int32Array.from({ length: blocks }, (_, i) => mul(first, pow(w, reversed(i, Math.log2(blocks)))));
      this.twiddles.push(level);
      this.inverses.push(level.map(inverse));
    }
    this.scale = inverse(size);
  }

  evaluate(v: Int32Array): void {
    this.twiddles.forEach((level, depth) => {
      const half = this.size >> (depth + 1);
      for (let block = 0; block < level.length; block++) {
        const w = level[block];
        for (let i = 2 * half * block; i < 2 * half * block + half; i++) {
          const x = v[i];
          const y = mul(w, v[i + half]);
          v[i] = add(x, y);
          v[i + half] = sub(x, y);
        }
      }
    });
  }

  interpolate(v: Int32Array): void {
    for (let depth = this.inverses.length - 1; depth >= 0; depth--) {
      const level = this.inverses[depth];
      const half = this.size >> (depth + 1);
      for (let block = 0; block < level.length; block++) {
        const w = level[block];
        for (let i = 2 * half * block; i < 2 * half * block + half; i++) {
          const x = v[i];
          const y = v[i + half];
          v[i] = add(x, y);
          v[i + half] = mul(w, sub(x, y));
        }
      }
    }
    v.forEach((x, i) => (v[i] = mul(x, this.scale)));
  }
}

// closing returns the constant term with which a polynomial has this sum over H_l.
function closing(v: Int32Array, l: number, sum: number): number {
  let constant = mul(sum, inverse(l));
  for (let i = l; i < v.length; i += l) constant = sub(constant, v[i]);
  return constant;
}

// prove returns a proof that the secrets satisfy the circuit. The seed is used once: 32 bytes
// of crypto.getRandomValues.
export function prove(circuit: Circuit, publics: Int32Array, secrets: Int32Array, seed: Uint8Array): Uint8Array {
  const { l, n, t, D: components } = circuit.params;
  const s = circuit.system;
  const k = l + t;
  const d = 2 * k + l - 2;
  const inner = 2 ** Math.ceil(Math.log2(d));
  const [onSlots, onColumns, onInner] = [new Domain(l, 1), new Domain(n, 3), new Domain(inner, 3)];
  const values = solve(circuit.builder, l, secrets, publics);
  const random = new Stream(seed, 48);
  const salts = new Stream(seed, 49);

  const polynomials: Int32Array[] = [];
  for (let i = 0; i < s.rows; i++) {
    const w = new Int32Array(k);
    const f = values.slice(i * l, (i + 1) * l);
    onSlots.interpolate(f);
    w.set(f);
    random.elements(t).forEach((r, j) => {
      w[l + j] = add(w[l + j], r);
      w[j] = sub(w[j], r);
    });
    polynomials.push(w);
  }
  for (let m = 0; m < components; m++) polynomials.push(random.elements(k));
  for (let m = 0; m < components; m++) {
    const v = new Int32Array(d);
    v.set(random.elements(d - 1), 1);
    v[0] = closing(v, l, 0);
    polynomials.push(v);
  }
  const words = polynomials.map((c) => {
    const word = new Int32Array(n);
    word.set(c);
    onColumns.evaluate(word);
    return word;
  });
  const columns = Array.from({ length: n }, (_, j) => Buffer.concat([salts.nextBlock(), u32(words.map((w) => w[j]))]));
  const levels: Uint8Array[][] = [columns.map((c) => sha256(Uint8Array.of(0), c))];
  for (let level = levels[0]; level.length > 1; levels.push(level)) {
    const below = level;
    level = Array.from({ length: below.length / 2 }, (_, i) => sha256(Uint8Array.of(1), below[2 * i], below[2 * i + 1]));
  }
  const rootHash = levels[levels.length - 1][0];
  const h0 = D("TD-V2-proof", circuit.digest, u32([l, n, t, components, s.rows]), Buffer.concat([u32([publics.length]), u32(publics)]), rootHash);

  // spread evaluates the polynomial with these values on H_l.
  const spread = (factors: Int32Array): Int32Array => {
    onSlots.interpolate(factors);
    const v = new Int32Array(inner);
    v.set(factors);
    onInner.evaluate(v);
    return v;
  };
  // The first columns are those of the inner domain, in this order, because of the reversal.
  const U: Uint8Array[] = [];
  const T: Uint8Array[] = [];
  for (let m = 0; m < components; m++) {
    const rowWeights = new Stream(h0, m).elements(s.rows);
    const weights = new Stream(h0, 16 + m).elements(s.equations);
    const u = polynomials[s.rows + m].slice();
    for (let i = 0; i < s.rows; i++) for (let j = 0; j < k; j++) u[j] = add(u[j], mul(rowWeights[i], polynomials[i][j]));
    const { linear, quadratic, sum } = combine(s, weights, publics);
    const product = new Int32Array(inner);
    for (let i = 0; i < s.rows; i++) {
      const factors = spread(linear.slice(i * l, (i + 1) * l));
      for (let j = 0; j < inner; j++) product[j] = add(product[j], mul(factors[j], words[i][j]));
    }
    s.products.forEach(([a, b], i) => {
      const factors = spread(quadratic.slice(i * l, (i + 1) * l));
      for (let j = 0; j < inner; j++) product[j] = add(product[j], mul(factors[j], mul(words[a][j], words[b][j])));
    });
    onInner.interpolate(product);
    const v = polynomials[s.rows + components + m];
    const tm = product.slice(0, d).map((x, i) => add(x, v[i]));
    if (tm[0] !== closing(tm, l, sum)) throw new Refused("the secrets do not satisfy the circuit");
    U.push(u32(u));
    T.push(u32(tm.subarray(1)));
  }
  const h1 = D("TD-V2-poly", h0, Buffer.concat(U), Buffer.concat(T));
  const positions = new Stream(h1, 32).positions(n, t);
  const path: Uint8Array[] = [];
  let known = [...positions].sort((a, b) => a - b);
  for (const level of levels.slice(0, -1)) {
    const has = new Set(known);
    for (const j of known) if (!has.has(j ^ 1)) path.push(level[j ^ 1]);
    known = [...new Set(known.map((j) => j >> 1))];
  }
  return Buffer.concat([rootHash, ...U, ...T, ...positions.map((j) => columns[j]), ...path]);
}
