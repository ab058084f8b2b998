import { expect, it } from "vitest";
import { everyDay } from "./trend";

const turn = (source: string, granted: number) => ({ purpose: "marketing", channel: null, source, granted, denied: 0, withdrawn: 0 });

it("draws days on which nothing turned as well, and only what is asked for", () => {
  const days = [
    { day: "2026-02-27", turns: [turn("site", 2), turn("till", 3)], confirmed: {} },
    { day: "2026-03-01", turns: [turn("site", 1)], confirmed: {} },
  ];
  expect(everyDay(days, ({ source }) => source === "site").map(({ day, granted }) => [day, granted])).toEqual([
    ["2026-02-27", 2],
    ["2026-02-28", 0],
    ["2026-03-01", 1],
  ]);
  expect(everyDay([], () => true)).toEqual([]);
});
