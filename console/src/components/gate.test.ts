import { expect, it } from "vitest";
import { readKind, readRefusal } from "./gate";

const told = { fr: "fermé", en: "closed" };

// The codes are those of crates/consent/src/reason.rs, copied by hand.
it.each([
  [{ ...told, code: "unknown", purpose: "marketing", channel: "email" } as const, { why: "unknown", purpose: "marketing", channel: "email" }],
  [{ ...told, code: "denied", purpose: "marketing", channel: "email", since: "2026-11-25T08:00:00.000Z" } as const, { why: "denied", purpose: "marketing", channel: "email", since: "2026-11-25T08:00:00.000Z" }],
  [{ ...told, code: "no_purpose", purpose: "news" } as const, { why: "undeclared", purpose: "news" }],
  [{ ...told, code: "never_sent" } as const, { why: "never_sent" }],
  [{ ...told, code: "expired", purpose: "marketing", channel: "email" } as const, { why: "told", ...told }],
  [null, { why: "other", words: "503 Service Unavailable: try later" }],
])("%j", (gate, refusal) => expect(readRefusal(gate, "503 Service Unavailable: try later")).toEqual(refusal));

it.each([
  ["unknown", { why: "unknown", purpose: "marketing", channel: "sms" }],
  ["denied", { why: "denied", purpose: "marketing", channel: "sms", since: null }],
  ["no_purpose", { why: "undeclared", purpose: "marketing" }],
  ["never_sent", { why: "never_sent" }],
  ["hours", { why: "code", code: "hours", purpose: "marketing", channel: "sms" }],
  ["the purpose marketing is not declared", { why: "other", words: "the purpose marketing is not declared" }],
])("the kind %s", (kind, refusal) => expect(readKind(kind, "marketing", "sms")).toEqual(refusal));
