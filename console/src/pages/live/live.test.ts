import { describe, expect, it } from "vitest";
import { kept, Rate } from "./buffer";
import { marks, nameOf, passes, typeOf, type Effect } from "./effect";

const quiet: Effect = {
  position: 1, received: "2026-11-25T08:00:00Z", time: "2026-11-25T08:00:00Z", source: "site", kind: "event", type: "track",
  name: "Product Viewed", message_id: "m1", profile: "p_1", label: null, created: false, joined: [], identifiers: [], refused: [], traits: {},
  entered: [], left: [], consents: [], deliveries: [], problem: null, result: null, body: {},
};
const effect = (change: Partial<Effect>): Effect => ({ ...quiet, ...change });
const all = { text: "", source: "", type: "", onlyEffects: false };
const positions = (rows: readonly Effect[]) => rows.map((row) => row.position);

describe("the kept entries", () => {
  it("stand newest first and end at the bound", () => {
    const rows = kept([], [effect({ position: 1 }), effect({ position: 2 }), effect({ position: 3 })], 2);
    expect(positions(rows)).toEqual([3, 2]);
    expect(positions(kept(rows, [effect({ position: 4 })], 2))).toEqual([4, 3]);
  });
  it("take nothing twice, within a burst or after a reconnection", () => {
    const rows = kept([], [effect({ position: 1 }), effect({ position: 1 }), effect({ position: 2 })]);
    expect(positions(rows)).toEqual([2, 1]);
    expect(kept(rows, [effect({ position: 1 }), effect({ position: 2 })])).toBe(rows);
  });
  it("tell two entries at one position apart by their kind", () => expect(kept([], [effect({}), effect({ kind: "timer" })])).toHaveLength(2));
});

describe("what an entry did", () => {
  it("is nothing for an event that is only kept", () => expect(marks(quiet)).toEqual([]));
  it("says the joining, not the identifier that came with it", () => {
    const texts = marks(effect({ joined: ["p_2"], identifiers: [{ namespace: "email", value: "a@b.fr", new: true }] })).map((mark) => mark.text);
    expect(texts).toEqual(["live.joined"]);
  });
  it("says segments, choices and messages with their states", () => {
    const delivery = { id: "d", activation: "a", destination: "x", purpose: "marketing", channel: "email", type: "segment.entered" };
    const found = marks(
      effect({
        entered: ["s"],
        consents: [{ purpose: "marketing", channel: "email", state: "denied" }],
        deliveries: [{ ...delivery, state: "queued", reason: null }, { ...delivery, state: "blocked", reason: "no" }],
      }),
    );
    expect(found.map(({ text, tone }) => `${text} ${tone}`)).toEqual(["live.entered segment", "live.consent_change denied", "live.queued granted", "live.blocked denied"]);
  });
  it("names a purpose once, however many channels were chosen alike", () => {
    const consents = ["display", "retargeting"].map((channel) => ({ purpose: "advertising", channel, state: "denied" as const }));
    expect(marks(effect({ consents: [...consents, { purpose: "advertising", channel: "social", state: "granted" }] })).map((mark) => mark.state)).toEqual(["denied", "granted"]);
  });
  it("says what became of a message", () => {
    const result = { delivery: "d", destination: "x", state: "dead" as const, status: 500, reason: "500" };
    expect(marks(effect({ kind: "result", result })).map(({ text, tone }) => [text, tone])).toEqual([["live.result_dead", "denied"]]);
  });
});

describe("the filter", () => {
  it("lets all through when empty", () => expect(passes(quiet, all)).toBe(true));
  it("finds words in names, people, identifiers and segments, in any case", () => {
    const rich = effect({ label: "Ana@example.org", identifiers: [{ namespace: "loyalty_card", value: "LC-7", new: false }], entered: ["sneakers"] });
    for (const text of ["product v", "ana@", "loyalty_card:lc", "SNEAK", "p_1", " site "]) expect(passes(rich, { ...all, text }), text).toBe(true);
    expect(passes(rich, { ...all, text: "boots" })).toBe(false);
  });
  it("narrows to a source, a type, what did something", () => {
    expect(passes(quiet, { ...all, source: "till" })).toBe(false);
    expect(passes(quiet, { ...all, type: "identify" })).toBe(false);
    expect(passes(quiet, { ...all, onlyEffects: true })).toBe(false);
    expect(passes(effect({ created: true }), { ...all, onlyEffects: true, source: "site", type: "track" })).toBe(true);
    expect(typeOf(effect({ kind: "quarantined" }))).toBe("quarantined");
  });
});

it("the rate counts what arrived within its window", () => {
  const rate = new Rate(2_000);
  rate.add(0, 10);
  rate.add(1_500, 30);
  expect(rate.at(1_500)).toBe(20);
  expect(rate.at(2_500)).toBe(15);
  expect(rate.at(9_000)).toBe(0);
});

it("a page is called by its own name", () => {
  expect(nameOf(effect({ type: "page", name: "Page Viewed", body: { name: "Home" } }))).toBe("Home");
  expect(nameOf(effect({ type: "page", name: "Page Viewed", body: {} }))).toBe("Page Viewed");
  expect(nameOf(effect({ name: "Order Completed", body: { name: "Home" } }))).toBe("Order Completed");
});
