import { expect, it } from "vitest";
import { pairs, stockOf } from "./stock";

const row = (purpose: string, channel: string | null, granted: number) => ({ purpose, channel, granted, denied: 1, unknown: 2, reachable: granted, weak: 0, expired: 0, old_text: 0, expiring: 0, old: 0 });
const stocks = [
  { day: "2026-11-26", at: "2026-11-26T22:00:00Z", people: 9, reach: [row("marketing", "email", 3)] },
  { day: "2026-11-28", at: "2026-11-28T22:00:00Z", people: 9, reach: [row("marketing", "email", 5), row("analytics", null, 4)] },
];

it("draws a pair on the days on which it was counted, and no other", () => {
  expect(pairs(stocks).map(({ key }) => key)).toEqual(["marketing/email", "analytics"]);
  const [email, analytics] = pairs(stocks);
  expect(stockOf(stocks, email!).map(({ day, granted }) => [day, granted])).toEqual([
    ["2026-11-26", 3],
    ["2026-11-28", 5],
  ]);
  expect(stockOf(stocks, analytics!)).toEqual([{ day: "2026-11-28", granted: 4, denied: 1, unknown: 2, reachable: 4 }]);
  expect(pairs([])).toEqual([]);
});
