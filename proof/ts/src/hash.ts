// Hashes and streams of challenges (section 1), hashes to digests (section 10).

import { createHash } from "node:crypto";
import { P } from "./field.js";

export function sha256(...parts: Uint8Array[]): Uint8Array {
  return hashAll(parts);
}

function hashAll(parts: Iterable<Uint8Array>): Uint8Array {
  const h = createHash("sha256");
  for (const part of parts) h.update(part);
  return h.digest();
}

export const text = (s: string): Uint8Array => Buffer.from(s, "utf8");

// u32 encodes integers with 4 bytes each, big-endian.
export function u32(values: ArrayLike<number>): Uint8Array {
  const b = Buffer.alloc(4 * values.length);
  for (let i = 0; i < values.length; i++) b.writeUInt32BE(values[i], 4 * i);
  return b;
}

// D is the labelled hash.
export function D(label: string, ...parts: Uint8Array[]): Uint8Array {
  return labelled(label, parts);
}

// labelled is D for a list of parts, which may be longer than a call can have arguments.
export function labelled(label: string, parts: Uint8Array[]): Uint8Array {
  const all: Uint8Array[] = [Uint8Array.of(label.length), text(label)];
  for (const part of parts) all.push(u32([0, part.length]), part);
  return hashAll(all);
}

// Stream is the sequence of blocks of a state for one use.
export class Stream {
  private readonly preimage: Buffer;
  private next = 0;
  private block = Buffer.alloc(0);
  private at = 0;

  constructor(state: Uint8Array, tag: number) {
    this.preimage = Buffer.concat([Uint8Array.of(2), state, Uint8Array.of(tag), new Uint8Array(8)]);
  }

  private advance(size: number): number {
    if (this.at + size > this.block.length) {
      this.preimage.writeUInt32BE(this.next++, this.preimage.length - 4);
      this.block = createHash("sha256").update(this.preimage).digest();
      this.at = 0;
    }
    this.at += size;
    return this.at - size;
  }

  elements(n: number): Int32Array {
    const v = new Int32Array(n);
    for (let i = 0; i < n; ) {
      const at = this.advance(4);
      const x = this.block.readUInt32BE(at) & 0x7fffffff;
      if (x < P) v[i++] = x;
    }
    return v;
  }

  // blocks reads a stream block by block.
  nextBlock(): Uint8Array {
    const at = this.advance(32);
    return this.block.subarray(at, at + 32);
  }

  positions(n: number, count: number): number[] {
    const seen = new Set<number>();
    while (seen.size < count) {
      const at = this.advance(2);
      seen.add(this.block.readUInt16BE(at) % n);
    }
    return [...seen];
  }
}

// H hashes a message to 8 elements: expand_message_xmd of RFC 9380 with SHA-256.
export function H(label: string, message: Uint8Array): number[] {
  const tag = text(label + "-KOALABEAR-XMD:SHA-256");
  const suffix = Buffer.concat([tag, Uint8Array.of(tag.length)]);
  const first = sha256(new Uint8Array(64), message, Uint8Array.of(0, 160, 0), suffix);
  const blocks: Uint8Array[] = [];
  let block: Uint8Array = new Uint8Array(32);
  for (let i = 1; i <= 5; i++) {
    block = sha256(block.map((b, j) => b ^ first[j]), Uint8Array.of(i), suffix);
    blocks.push(block);
  }
  const uniform = Buffer.concat(blocks);
  const digest: number[] = [];
  for (let i = 0; i < 8; i++) {
    let rest = 0;
    for (const b of uniform.subarray(20 * i, 20 * i + 20)) rest = (rest * 256 + b) % P;
    digest.push(rest);
  }
  return digest;
}
