// The first argument is the folder docs/spec/vectors. The program compares circuits and proofs
// with the known answers of suite2.json, and the results of JSON with the vectors of TD/1.
//
// It then reads cases from standard input, one JSON a line. A line has statements, a proof in
// base64 and whether it is valid, or a case about JSON and the result that Go has. The last
// line has the number of cases about JSON.
//
// The program writes how many cases agree as JSON, with milliseconds of processor time for
// each claim.

import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { isDeepStrictEqual } from "node:util";
import { Case, resultOf, vectors } from "./cases.js";
import { circuitOf } from "./claims.js";
import { mul, P } from "./field.js";
import { sha256 } from "./hash.js";
import { permute } from "./poseidon.js";
import { prove } from "./prove.js";
import { Verifier } from "./verify.js";

function expect(what: string, got: unknown, want: unknown): void {
  if (JSON.stringify(got) !== JSON.stringify(want)) throw new Error(`${what}: got ${JSON.stringify(got)}, want ${JSON.stringify(want)}`);
}

// The products that are hardest for arithmetic in doubles.
for (const a of [0, 1, 2, 65535, 65536, P - 2, P - 1, 1 << 30]) {
  for (const b of [1, 3, 65537, P - 3, P - 1, 2130706431, 1073741827]) expect(`${a} · ${b}`, mul(a, b), Number((BigInt(a) * BigInt(b)) % BigInt(P)));
}
expect("Poseidon", permute(Array.from({ length: 16 }, (_, i) => i)).slice(0, 3), [1468040291, 1284868514, 229978149]);

const folder = process.argv[2];
const answers = JSON.parse(readFileSync(`${folder}/suite2.json`, "utf8"));
const proveMS: Record<string, number> = {}; // proofs with fixed coins, the same bytes as those of Go
for (const a of answers) {
  const c = circuitOf(a.Claim, a.Number, a.Width, 1);
  const s = c.system;
  expect(a.Name, [c.params.l, c.params.n, c.params.t, c.params.D], a.Params);
  expect(a.Name, [s.rows, s.products.length, s.publics, s.equations], [a.Rows, a.Products, a.Publics, a.Equations]);
  expect(a.Name, Buffer.from(c.digest).toString("hex"), a.Circuit);
  const before = process.cpuUsage();
  const proof = prove(c, Int32Array.from(a.Public), Int32Array.from(a.Secrets), Buffer.from(a.Seed, "hex"));
  const used = process.cpuUsage(before);
  expect(a.Name, [proof.length, Buffer.from(sha256(proof)).toString("hex")], [a.ProofLength, a.ProofSHA256]);
  proveMS[a.Name] = Math.round(used.user + used.system) / 1000;
}

const verifier = new Verifier();
const claims: Record<string, { agreed: number; valid: number; ms: number }> = {};
const differ: string[] = [];

const json: Record<string, number> = { vectors: 0, agreed: 0, accepted: 0, cases: 0 };

// compare counts a case about JSON if the results are the same, and notes it otherwise.
function compare(count: string, c: Case, got: unknown, want: unknown): void {
  if (isDeepStrictEqual(got, want)) json[count]++;
  else differ.push(`${JSON.stringify(c)}: got ${JSON.stringify(got)}, want ${JSON.stringify(want)}`);
}
for (const v of vectors(folder)) compare("vectors", v.case, v.got, v.want);

for await (const line of createInterface({ input: process.stdin })) {
  const { name, statements, proof, valid, case: about, want, cases } = JSON.parse(line);
  if (cases !== undefined) json.cases = cases;
  if (about !== undefined) {
    compare("agreed", about, resultOf(about), want);
    if (want.refused === undefined) json.accepted++;
  }
  if (name === undefined) continue;
  const bytes = Buffer.from(proof, "base64");
  const before = process.cpuUsage();
  const why = verifier.verify(statements, bytes);
  const used = process.cpuUsage(before);
  const c = (claims[name] ??= { agreed: 0, valid: 0, ms: 0 });
  if ((why === undefined) !== valid) differ.push(`${name}: ${why}`);
  else c.agreed++;
  if (valid) {
    c.valid++;
    c.ms += (used.user + used.system) / 1000;
  }
}
for (const c of Object.values(claims)) c.ms = Math.round((c.ms / Math.max(1, c.valid)) * 1000) / 1000;
if (json.cases === 0 || json.cases !== json.agreed) differ.push(`${json.agreed} of ${json.cases} cases about JSON agree`);
process.stdout.write(JSON.stringify({ answers: answers.length, prove_ms: proveMS, claims, json, differ: differ.slice(0, 5), ok: differ.length === 0 }) + "\n");
process.exitCode = differ.length === 0 ? 0 : 1;
