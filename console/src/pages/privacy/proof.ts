import type { Schemas } from "../../api/client";

type Proof = Schemas["Proof"];

/** Where an entry stands in the ledger. */
export interface Entry {
  day: string;
  index: number;
}

const text = (value: unknown): string => (value === null || value === undefined ? "" : typeof value === "string" ? value : JSON.stringify(value));
const lines = (value: unknown): string[] =>
  value && typeof value === "object" && !Array.isArray(value) ? Object.entries(value).map(([field, one]) => `${field}: ${text(one)}`) : value ? [text(value)] : [];
const channel = (value: unknown): string | null => (typeof value === "string" ? value : null);
const address = (value: unknown): string | null => (Array.isArray(value) ? value.map(text).join(": ") : null);
const entry = (value: unknown): Entry | null => (value && typeof value === "object" ? (value as Entry) : null);

/** The choices of a proof, the oldest first. */
export const chosenOf = (proof: Proof) =>
  proof.choices.map((choice) => ({
    at: text(choice.chosen_at),
    purpose: text(choice.purpose),
    channel: channel(choice.channel),
    state: choice.state === "granted" ? ("granted" as const) : ("denied" as const),
    address: address(choice.address),
    shown: lines(choice.shown),
    source: text(choice.source),
    entry: entry(choice.entry),
  }));

/** What was sent, the oldest first, and under what. */
export const sentOf = (proof: Proof) =>
  proof.sent.map((sent) => {
    const under = sent.under as string | Record<string, unknown> | null;
    const attempts = Array.isArray(sent.let_out) ? sent.let_out : [];
    return {
      at: text(sent.at),
      destination: text(sent.destination),
      purpose: text(sent.purpose),
      channel: channel(sent.channel),
      content: lines(sent.data),
      takesBack: typeof under === "string",
      basis: under && typeof under === "object" && "basis" in under ? text(under.basis) : null,
      choice: entry(sent.choice),
      entry: entry((attempts.at(-1) as { entry?: unknown } | undefined)?.entry),
    };
  });
