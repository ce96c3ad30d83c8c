// Arithmetic modulo p = 2^31 - 2^24 + 1 (section 1). An element is a number from 0 to
// p - 1. No integer leaves 32 bits but in products of doubles, and there is no BigInt.

export const P = 2130706433;
const INVERSE = 1 / P;

export const add = (a: number, b: number): number => (a + b >= P ? a + b - P : a + b);
export const sub = (a: number, b: number): number => (a >= b ? a - b : a - b + P);

// mul takes the quotient from a product of doubles, whose relative error of 2^-52 makes it
// wrong by one at most, and the remainder from the lower 32 bits: it is from -2^10 to p +
// 2^10 before the last step.
export function mul(a: number, b: number): number {
  const r = (Math.imul(a, b) - Math.imul((a * b * INVERSE) | 0, P)) | 0;
  return r < 0 ? r + P : r >= P ? r - P : r;
}

export function pow(x: number, e: number): number {
  let result = 1;
  for (; e > 0; e = Math.floor(e / 2), x = mul(x, x)) if (e % 2 === 1) result = mul(result, x);
  return result;
}

export const inverse = (x: number): number => pow(x, P - 2);

// root returns the root of unity of order n that the text calls ω_n.
export const root = (n: number): number => pow(3, (P - 1) / n);

// reversed returns the lower bits of j in reverse order.
export function reversed(j: number, bits: number): number {
  let r = 0;
  for (let i = 0; i < bits; i++) r = (r << 1) | ((j >> i) & 1);
  return r;
}

// dot returns the sum of a[i + from] · b[i]. Halves of 16 bits keep 64 products below 2^53.
export function dot(a: Int32Array, from: number, b: Int32Array, n: number): number {
  let sum = 0;
  for (let at = 0; at < n; at += 64) {
    let low = 0;
    let high = 0;
    for (let i = at; i < Math.min(at + 64, n); i++) {
      const x = a[from + i];
      low += x * (b[i] & 0xffff);
      high += x * (b[i] >>> 16);
    }
    sum = add(sum, add(low % P, mul(high % P, 65536)));
  }
  return sum;
}

// invertAll replaces all elements, none of which is 0, by their inverses.
export function invertAll(v: Int32Array): void {
  const prefix = new Int32Array(v.length);
  let product = 1;
  for (let i = 0; i < v.length; i++) {
    prefix[i] = product;
    product = mul(product, v[i]);
  }
  product = inverse(product);
  for (let i = v.length - 1; i >= 0; i--) {
    const x = v[i];
    v[i] = mul(product, prefix[i]);
    product = mul(product, x);
  }
}
