import { describe, expect, it } from "vitest";
import type { Schemas } from "../../api/client";
import { matrix } from "./consents";
import { gist, moments } from "./moments";
import { nameOf } from "./name";

const identifier = (namespace: string, value: string) => ({ namespace, value, first_seen: "", last_seen: "", source: "site" });

describe("the name of a person", () => {
  const identifiers = [identifier("anonymous_id", "b-1"), identifier("loyalty_card", "29"), identifier("email", "ana@example.org")];
  it("is the name that she gave", () => expect(nameOf({ traits: { firstName: "Ana", lastName: "Lefèvre" }, identifiers })).toBe("Ana Lefèvre"));
  it("is half a name rather than an address", () => expect(nameOf({ traits: { first_name: "Ana", last_name: " " }, identifiers })).toBe("Ana"));
  it("is the best identifier without one", () => expect(nameOf({ traits: {}, identifiers })).toBe("ana@example.org"));
  it("is nothing for a browser", () => expect(nameOf({ traits: { firstName: 7 }, identifiers: [identifier("anonymous_id", "b-1")] })).toBeNull());
});

describe("the time line", () => {
  const event = (position: number, timestamp: string, receivedAt: string, source: string) => ({ position, timestamp, receivedAt, source, type: "track", messageId: `m-${position}` }) as Schemas["StoredEvent"];
  const eye = (source: string) => (source === "site" ? ("film" as const) : ("photograph" as const));
  const seen = [event(3, "2026-11-25T10:00:00Z", "2026-11-25T10:00:01Z", "site"), event(2, "2026-11-01T09:00:00Z", "2026-11-25T09:00:00Z", "till")];
  const moved = [
    { at: "2026-11-25T10:00:01Z", segment: "new", type: "segment.entered" as const },
    { at: "2026-11-20T10:00:00Z", segment: "old", type: "segment.exited" as const },
  ];

  it("mixes what happened by time, whenever it arrived, each event in its eye's lane", () => {
    const line = moments(seen, moved, [], eye, true);
    expect(line.map((one) => (one.kind === "event" ? one.eye : one.kind === "segment" ? one.segment : ""))).toEqual(["new", "film", "old", "photograph"]);
  });
  it("says nothing of the time whose events are not loaded", () => {
    expect(moments(seen, moved, [], eye, false).filter(({ kind }) => kind === "segment")).toHaveLength(1);
  });
});

describe("the gist of an event", () => {
  it("is the products and the sum", () => {
    expect(gist({ properties: { order_id: "T-1", total: 89.9, currency: "EUR", store: "Lille", products: [{ name: "Boots" }, { sku: 1 }] } })).toEqual({
      amount: { value: 89.9, currency: "EUR" },
      products: ["Boots"],
      properties: [["store", "Lille"]],
    });
  });
  it("is the traits of an identify call, no sum without a currency", () => {
    expect(gist({ traits: { city: "Lille" } }).properties).toEqual([["city", "Lille"]]);
    expect(gist({ properties: { total: 5, currency: "euros" } }).amount).toBeNull();
  });
});

describe("the consent matrix", () => {
  const choice = (purpose: string, channel: string | null, state: "granted" | "denied") => ({ purpose, channel, state, for: "person", since: "", source: "", weak: false, receipt: `${purpose}${channel}` }) as Schemas["Consent"];
  it("has every declared purpose, every channel in use, and an empty cell where nobody chose", () => {
    const { purposes, rows } = matrix([choice("marketing", "email", "granted")], ["marketing", "service"], ["sms"]);
    expect(purposes).toEqual(["marketing", "service"]);
    expect(rows.map(({ channel }) => channel)).toEqual(["email", "sms"]);
    expect(rows.map(({ cells }) => cells.map(({ choices }) => choices.length))).toEqual([[1, 0], [0, 0]]);
  });
  it("shows a choice for every channel where there is no other, and says so", () => {
    const { rows } = matrix([choice("marketing", null, "granted"), choice("marketing", "sms", "denied")], [], ["email"]);
    expect(rows.map(({ channel, cells }) => [channel, cells[0]?.choices[0]?.state, cells[0]?.inherited])).toEqual([[null, "granted", false], ["email", "granted", true], ["sms", "denied", false]]);
  });
});
