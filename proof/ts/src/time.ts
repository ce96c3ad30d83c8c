// Measures proving and verifying in this engine, with the known answers whose file is the
// first argument, and writes mean milliseconds of processors as JSON. The first rounds, in
// which the engine compiles, do not count.

import { readFileSync } from "node:fs";
import { circuitOf } from "./claims.js";
import { prove } from "./prove.js";
import { verifyProof } from "./verify.js";

const WARM = 5;
const ROUNDS = 30;

// mean returns the milliseconds that a call takes.
function mean(call: () => void): number {
  for (let i = 0; i < WARM; i++) call();
  const before = process.cpuUsage();
  for (let i = 0; i < ROUNDS; i++) call();
  const used = process.cpuUsage(before);
  return Math.round((used.user + used.system) / ROUNDS) / 1000;
}

const rows: Record<string, { prove_ms: number; verify_ms: number }> = {};
for (const a of JSON.parse(readFileSync(process.argv[2], "utf8"))) {
  if (a.Name !== "open" && a.Name !== "record 0") continue;
  const circuit = circuitOf(a.Claim, a.Number, a.Width, 1);
  const publics = Int32Array.from(a.Public);
  let proof: Uint8Array = new Uint8Array();
  const prove_ms = mean(() => (proof = prove(circuit, publics, Int32Array.from(a.Secrets), Buffer.from(a.Seed, "hex"))));
  rows[a.Claim] = { prove_ms, verify_ms: mean(() => verifyProof(circuit, publics, proof)) };
}
process.stdout.write(JSON.stringify(rows) + "\n");
