/** Why the gate is closed, read from the server's words. The engine writes these sentences in one place
 *  (`crates/consent/src/gate.rs`); another one is shown as it is. */
export type Refusal =
  | { why: "unknown"; purpose: string; channel: string }
  | { why: "denied"; purpose: string; channel: string; since: string | null }
  | { why: "undeclared"; purpose: string }
  | { why: "never_sent" }
  | { why: "other"; words: string };

/** Reads a reason of the gate; without its time where the refusals of several people were put together. */
export function readRefusal(reason: string): Refusal {
  const consent = /^no consent for ([^/]+)\/(\S+): (?:(unknown) since ever|denied(?: since (\S+))?)$/.exec(reason);
  if (consent) {
    const [, purpose = "", channel = "", unknown, since = null] = consent;
    return unknown ? { why: "unknown", purpose, channel } : { why: "denied", purpose, channel, since };
  }
  const undeclared = /^the purpose (\S+) is not declared$/.exec(reason);
  if (undeclared) return { why: "undeclared", purpose: undeclared[1] ?? "" };
  if (reason.startsWith("nothing to take back")) return { why: "never_sent" };
  return { why: "other", words: reason };
}

/** Reads a kind of reason, as the day's counts name it (`reason_kind` in `crates/engine/src/days.rs`), for the choice that an activation asks for. */
export function readKind(kind: string, purpose: string, channel: string): Refusal {
  switch (kind) {
    case "unknown":
      return { why: "unknown", purpose, channel };
    case "denied":
      return { why: "denied", purpose, channel, since: null };
    case "the destination never received this person":
      return { why: "never_sent" };
    default:
      return readRefusal(kind);
  }
}
