// Poseidon (section 2).

import { P, add, mul } from "./field.js";

export const WIDTH = 16;
export const ROUNDS = 28;
export const isFull = (round: number): boolean => round < 4 || round >= 24;

const FIRST = [1, 1, 51, 1, 11, 17, 2, 1, 101, 63, 15, 2, 67, 22, 13, 3];

// matrix has the row i of M at i.
export const matrix: number[][] = FIRST.map((_, i) => FIRST.map((_, j) => FIRST[(j - i + WIDTH) % WIDTH]));

// constants has, for each round, what is added to each lane.
export const constants: number[][] = draw();

function draw(): number[][] {
  const register: number[] = [];
  const parts = [[1, 2], [0, 4], [31, 12], [16, 12], [8, 10], [20, 10], [2 ** 30 - 1, 30]];
  for (const [value, bits] of parts) for (let i = bits - 1; i >= 0; i--) register.push(Math.floor(value / 2 ** i) % 2);
  const step = (): number => {
    let b = 0;
    for (const tap of [0, 13, 23, 38, 51, 62]) b ^= register[tap];
    register.push(b);
    register.shift();
    return b;
  };
  for (let i = 0; i < 160; i++) step();
  const bit = (): number => {
    for (;;) {
      const keep = step();
      const b = step();
      if (keep === 1) return b;
    }
  };
  const element = (): number => {
    for (;;) {
      let v = 0;
      for (let i = 0; i < 31; i++) v = v * 2 + bit();
      if (v < P) return v;
    }
  };
  const rounds: number[][] = [];
  for (let r = 0; r < ROUNDS; r++) {
    const lanes = Array.from({ length: WIDTH }, element);
    rounds.push(lanes.map((x, i) => (i === 0 || isFull(r) ? x : 0)));
  }
  return rounds;
}

export function permute(state: number[]): number[] {
  for (let r = 0; r < ROUNDS; r++) {
    state = state.map((x, i) => add(x, constants[r][i]));
    state = state.map((x, i) => (i === 0 || isFull(r) ? mul(mul(x, x), x) : x));
    state = matrix.map((row) => row.reduce((sum, m, j) => add(sum, mul(m, state[j])), 0));
  }
  return state;
}

// compress is C.
export function compress(x: number[], y: number[]): number[] {
  const lanes = permute([...x, ...y]);
  return y.map((v, i) => add(lanes[8 + i], v));
}
