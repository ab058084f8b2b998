import type { Schemas } from "../api/client";

type Told = Schemas["GateReason"];

/** The codes that have words of their own here; `crates/consent/src/reason.rs` has them all. */
export type OtherCode = Exclude<Told["code"], "unknown" | "denied" | "no_purpose" | "never_sent">;

/** Why the gate is closed. */
export type Refusal =
  | { why: "unknown"; purpose: string; channel: string }
  | { why: "denied"; purpose: string; channel: string; since: string | null }
  | { why: "undeclared"; purpose: string }
  | { why: "never_sent" }
  | { why: "code"; code: OtherCode; purpose: string; channel: string }
  | { why: "told"; fr: string; en: string }
  | { why: "other"; words: string };

const OTHER_CODES: ReadonlySet<string> = new Set<OtherCode>([
  "objected",
  "expired",
  "old_text",
  "not_a_customer",
  "bounced",
  "restricted",
  "retention_over",
  "minor",
  "transfer",
  "paused",
  "destination_paused",
  "cannot_be_told",
  "taken_apart",
  "channel_not_declared",
  "field_not_allowed",
  "hours",
  "frequency",
]);

/** What the gate says: by its code, else in its own sentence; without a code (written before there were any, or by a tool) the words. */
export function readRefusal(gate: Told | null | undefined, reason: string): Refusal {
  const { purpose = "", channel = "", since = null } = gate ?? {};
  switch (gate?.code) {
    case undefined:
      return { why: "other", words: reason };
    case "unknown":
      return { why: "unknown", purpose, channel };
    case "denied":
      return { why: "denied", purpose, channel, since };
    case "no_purpose":
      return { why: "undeclared", purpose };
    case "never_sent":
      return { why: "never_sent" };
    default:
      return { why: "told", fr: gate?.fr ?? reason, en: gate?.en ?? reason };
  }
}

/** A code alone, as the day's counts keep it (`reason_kind` in `crates/engine/src/days.rs`), for the choice that an activation asks for. */
export function readKind(kind: string, purpose: string, channel: string): Refusal {
  if (OTHER_CODES.has(kind)) return { why: "code", code: kind as OtherCode, purpose, channel };
  switch (kind) {
    case "unknown":
      return { why: "unknown", purpose, channel };
    case "denied":
      return { why: "denied", purpose, channel, since: null };
    case "no_purpose":
      return { why: "undeclared", purpose };
    case "never_sent":
      return { why: "never_sent" };
    default:
      return { why: "other", words: kind };
  }
}
