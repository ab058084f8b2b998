import { expect, it } from "vitest";
import { largest, lastFullMinute, total } from "./figures";

const minute = (events: number) => ({ at: "2026-11-25T08:00:00Z", events, quarantined: 0, sent: 0, blocked: 0, failed: 0 });

it("the last full minute is the one before the running one", () => {
  expect(lastFullMinute([minute(5), minute(9), minute(1)])).toBe(9);
  expect(lastFullMinute([minute(1)])).toBe(0);
});

it("sums and maxima hold for nothing too", () => {
  expect(total([minute(5), minute(9)], "events")).toBe(14);
  expect(largest([])).toBe(0);
});
