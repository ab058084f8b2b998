import { expect, it } from "vitest";
import { heldBack, largest, lastFullMinute, total } from "./figures";

const minute = (events: number) => ({ at: "2026-11-25T08:00:00Z", events, quarantined: 0, sent: 0, blocked: 0, failed: 0 });

it("the last full minute is the one before the running one", () => {
  expect(lastFullMinute([minute(5), minute(9), minute(1)])).toBe(9);
  expect(lastFullMinute([minute(1)])).toBe(0);
});

it("sums and maxima hold for nothing too", () => {
  expect(total([minute(5), minute(9)], "events")).toBe(14);
  expect(largest([])).toBe(0);
});

it("puts the refusals of many people together, the most frequent first", () => {
  const row = { activation: "mail", destination: "hook", purpose: "marketing", channel: "email" };
  const denied = "no consent for marketing/email: denied";
  const rows = heldBack([
    { ...row, reason: `${denied} since 2026-11-25T08:00:00Z`, count: 1 },
    { ...row, reason: "no consent for marketing/email: unknown since ever", count: 2 },
    { ...row, reason: `${denied} since 2026-11-24T08:00:00Z`, count: 4 },
    { ...row, destination: "ads", reason: denied, count: 3 },
  ]);
  expect(rows.map(({ destination, reason, count }) => [destination, reason, count])).toEqual([
    ["hook", denied, 5],
    ["ads", denied, 3],
    ["hook", "no consent for marketing/email: unknown since ever", 2],
  ]);
});
