import { expect, test } from "vitest";
import { sumsOf } from "./sums";

const of = (event: string, events: number, to: "counted" | "anonymous" = "counted") => ({ source: "site", event, purpose: "analytics", to, events });

test("days add up, the newest stands apart, the most frequent comes first", () => {
  const sums = sumsOf([
    { day: "2026-11-27", counts: [of("Product Viewed", 2), of("Page Viewed", 7, "anonymous")] },
    { day: "2026-11-28", counts: [of("Product Viewed", 9)] },
  ]);
  expect(sums.map(({ event, events, last }) => [event, events, last])).toEqual([
    ["Product Viewed", 11, 9],
    ["Page Viewed", 7, 0],
  ]);
});
