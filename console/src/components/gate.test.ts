import { expect, it } from "vitest";
import { readKind, readRefusal } from "./gate";

// The sentences are those of crates/consent/src/gate.rs, copied by hand.
it.each([
  ["no consent for marketing/email: unknown since ever", { why: "unknown", purpose: "marketing", channel: "email" }],
  ["no consent for marketing/email: denied since 2026-11-25T08:00:00.000Z", { why: "denied", purpose: "marketing", channel: "email", since: "2026-11-25T08:00:00.000Z" }],
  ["no consent for marketing/sms: denied", { why: "denied", purpose: "marketing", channel: "sms", since: null }],
  ["the purpose news is not declared", { why: "undeclared", purpose: "news" }],
  ["nothing to take back: the destination never received this person", { why: "never_sent" }],
  ["503 Service Unavailable: try later", { why: "other", words: "503 Service Unavailable: try later" }],
])("%s", (words, refusal) => expect(readRefusal(words)).toEqual(refusal));

it.each([
  ["unknown", { why: "unknown", purpose: "marketing", channel: "sms" }],
  ["denied", { why: "denied", purpose: "marketing", channel: "sms", since: null }],
  ["the purpose marketing is not declared", { why: "undeclared", purpose: "marketing" }],
  ["the destination never received this person", { why: "never_sent" }],
])("the kind %s", (kind, refusal) => expect(readKind(kind, "marketing", "sms")).toEqual(refusal));
