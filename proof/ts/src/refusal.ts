// Refusals of JSON, with the codes of section 14 of TD/1.

import { Refused } from "./claims.js";
import { Unreadable } from "./json.js";

export type Code = "unknown_claim" | "malformed_request" | "too_large" | "event_not_canonicalisable" | "event_not_encodable" | "statement_false";

export class Refusal extends Refused {
  constructor(readonly code: Code, why: string) {
    super(why);
  }
}

// wellFormed refuses parameters and lists that break a rule.
export function wellFormed(condition: boolean, why: string): asserts condition {
  if (!condition) throw new Refusal("malformed_request", why);
}

// readable returns what parse returns. If the text is unreadable, it is refused with the code
// for the reason.
export function readable<T>(parse: () => T, code: (reason: string) => Code): T {
  try {
    return parse();
  } catch (e) {
    throw e instanceof Unreadable ? new Refusal(code(e.reason), e.message) : e;
  }
}
