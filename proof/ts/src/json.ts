// Strict JSON and its canonical form (section 4 of TD/1). Texts are read byte by byte, so
// that a refusal can name the offset.

import { isUtf8 } from "node:buffer";

export type Json = null | boolean | string | Numeral | Json[] | JsonObject;
export type JsonObject = Map<string, Json>;

// Unreadable says why a text is refused, and at which byte.
export class Unreadable extends Error {
  constructor(readonly reason: string, readonly offset: number) {
    super(`${reason} at ${offset}`);
  }
}

// A Decimal is digits · 10^exponent. The digits neither begin nor end with 0; zero has none.
interface Decimal {
  negative: boolean;
  digits: string;
  exponent: number;
}

// A Numeral is a number. Its text is the canonical form, which has exactly the same value.
export class Numeral {
  constructor(readonly text: string) {}

  // scaled returns x · 10^scale + offset, if that is an integer.
  scaled(scale: number, offset: bigint): bigint | undefined {
    return scaled(this.text, scale, offset);
  }
}

export function scaled(text: string, scale: number, offset: bigint): bigint | undefined {
  const { negative, digits, exponent } = decimal(text);
  if (digits === "") return offset;
  if (exponent + scale < 0) return undefined;
  const x = BigInt(digits) * 10n ** BigInt(exponent + scale);
  return (negative ? -x : x) + offset;
}

// decimal reads a number of JSON. An exponent of more than 9 digits becomes 10^9: no text
// is long enough to bring that near to 0.
function decimal(text: string): Decimal {
  const [, sign, whole, fraction = "", direction, power = ""] = /^(-?)([0-9]+)(?:\.([0-9]+))?(?:[eE]([+-]?)0*([0-9]*))?$/.exec(text)!;
  const all = whole + fraction;
  let first = 0;
  while (all[first] === "0") first++;
  let end = all.length;
  while (end > first && all[end - 1] === "0") end--;
  const size = power.length > 9 ? 1e9 : Number(power);
  return { negative: sign === "-", digits: all.slice(first, end), exponent: (direction === "-" ? -size : size) - fraction.length + all.length - end };
}

// canonicalNumber returns the canonical form of a number, undefined if that has another value.
// RFC 8785 defines it as the form that JavaScript writes for a double, so this function alone
// makes a double of a number.
export function canonicalNumber(text: string): string | undefined {
  const exact = decimal(text);
  const { negative, digits, exponent } = exact;
  if (digits === "") return "0";
  if (digits.length > 17 || Math.abs(exponent + digits.length) > 330) return undefined;
  const double = Number(`${negative ? "-" : ""}${digits}e${exponent}`);
  if (!Number.isFinite(double)) return undefined;
  const rounded = decimal(String(double));
  return rounded.digits === digits && rounded.exponent === exponent ? String(double) : undefined;
}

const MOST_DEPTH = 32;
const MOST_MEMBERS = 1024;

const SPACE = /[ \t\r\n]*/y;
const NUMBER = /-?(?:0|[1-9][0-9]*)(?:\.[0-9]*)?(?:[eE][+-]?[0-9]*)?/y;
const INCOMPLETE = /[.eE+-]$|\.[eE]/;
const LITERAL = /true|false|null/y;
const PLAIN = /[^"\\\x00-\x1f]*/y;
const ESCAPE = /\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})/y;
const HIGH_HALF = /^\\u[dD][89abAB]/;
const LOW_HALF = /\\u[dD][c-fC-F][0-9a-fA-F]{2}/y;
const CHARACTER =
  /[\x00-\x7f]|[\xc2-\xdf][\x80-\xbf]|(?:\xe0[\xa0-\xbf]|[\xe1-\xec\xee\xef][\x80-\xbf]|\xed[\x80-\x9f])[\x80-\xbf]|(?:\xf0[\x90-\xbf]|[\xf1-\xf3][\x80-\xbf]|\xf4[\x80-\x8f])[\x80-\xbf]{2}/y;

class Reader {
  at = 0;
  private members = 0;

  // text has one character for each byte.
  constructor(private readonly text: string) {}

  // match returns what a pattern matches at the present place, and moves behind it.
  private match(pattern: RegExp): string | undefined {
    pattern.lastIndex = this.at;
    const found = pattern.exec(this.text)?.[0];
    if (found !== undefined) this.at += found.length;
    return found;
  }

  // skip moves behind a character and returns true, if it is the next one.
  private skip(c: string): boolean {
    if (this.text[this.at] !== c) return false;
    this.at++;
    return true;
  }

  private expect(c: string): void {
    if (!this.skip(c)) throw new Unreadable("syntax", this.at);
  }

  space(): void {
    this.match(SPACE);
  }

  checkUTF8(): void {
    while (this.match(CHARACTER) !== undefined);
    if (this.at < this.text.length) throw new Unreadable(/^\xed[\xa0-\xbf][\x80-\xbf]/.test(this.text.slice(this.at, this.at + 3)) ? "surrogate" : "not_utf8", this.at);
  }

  top(): JsonObject {
    this.space();
    const start = this.at;
    if (this.text[start] === "{") return this.object(1);
    if (this.text[start] !== "[") this.scalar(false);
    throw new Unreadable("not_an_object", start);
  }

  end(): void {
    this.space();
    if (this.at < this.text.length) throw new Unreadable("trailing_data", this.at);
  }

  private value(depth: number): Json {
    this.space();
    const c = this.text[this.at];
    if (c !== "{" && c !== "[") return this.scalar(true);
    if (depth > MOST_DEPTH) throw new Unreadable("too_deep", this.at);
    return c === "{" ? this.object(depth) : this.array(depth);
  }

  private object(depth: number): JsonObject {
    const object: JsonObject = new Map();
    this.expect("{");
    this.space();
    if (this.skip("}")) return object;
    do {
      this.space();
      const start = this.at;
      const name = this.string();
      if (object.has(name)) throw new Unreadable("duplicate_name", start);
      if (++this.members > MOST_MEMBERS) throw new Unreadable("too_many_members", start);
      this.space();
      this.expect(":");
      object.set(name, this.value(depth + 1));
      this.space();
    } while (this.skip(","));
    this.expect("}");
    return object;
  }

  private array(depth: number): Json[] {
    const array: Json[] = [];
    this.expect("[");
    this.space();
    if (this.skip("]")) return array;
    do {
      array.push(this.value(depth + 1));
      this.space();
    } while (this.skip(","));
    this.expect("]");
    return array;
  }

  private scalar(exactly: boolean): Json {
    if (this.text[this.at] === '"') return this.string();
    const literal = this.match(LITERAL);
    if (literal !== undefined) return literal === "null" ? null : literal === "true";
    const start = this.at;
    const number = this.match(NUMBER);
    if (number === undefined || INCOMPLETE.test(number)) throw new Unreadable("syntax", start);
    const canonical = canonicalNumber(number);
    if (canonical === undefined && exactly) throw new Unreadable("inexact_number", start);
    return new Numeral(canonical ?? "");
  }

  private string(): string {
    let s = "";
    this.expect('"');
    for (;;) {
      s += Buffer.from(this.match(PLAIN)!, "latin1").toString("utf8");
      if (this.skip('"')) return s;
      const start = this.at;
      let escape = this.match(ESCAPE);
      if (escape === undefined) throw new Unreadable("syntax", start);
      if (HIGH_HALF.test(escape)) escape += this.match(LOW_HALF) ?? "";
      if (/^\\u[dD][89a-fA-F]/.test(escape) && escape.length < 12) throw new Unreadable("surrogate", start);
      s += JSON.parse(`"${escape}"`);
    }
  }
}

// parse reads an object. The text and its canonical form have at most limit bytes each.
export function parse(raw: Uint8Array, limit: number): JsonObject {
  if (raw.length > limit) throw new Unreadable("too_large", limit);
  const text = Buffer.from(raw).toString("latin1");
  if (text.startsWith("\xef\xbb\xbf")) throw new Unreadable("bom", 0);
  if (!isUtf8(raw)) new Reader(text).checkUTF8();
  const reader = new Reader(text);
  const object = reader.top();
  reader.end();
  if (Buffer.byteLength(canonical(object)) > limit) throw new Unreadable("too_large", limit);
  return object;
}

// canonical returns the canonical form (RFC 8785). It has texts as JavaScript writes them, and
// member names in the order of their 16-bit code units.
export function canonical(v: Json): string {
  if (v instanceof Numeral) return v.text;
  if (Array.isArray(v)) return `[${v.map(canonical).join()}]`;
  if (!(v instanceof Map)) return JSON.stringify(v);
  const names = [...v.keys()].sort((a, b) => (a < b ? -1 : 1));
  return `{${names.map((name) => `${JSON.stringify(name)}:${canonical(v.get(name)!)}`).join()}}`;
}
