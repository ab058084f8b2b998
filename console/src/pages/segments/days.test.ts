import { describe, expect, it } from "vitest";
import { change, matches } from "./days";

const day = (name: string, count: number, entered: number, left: number) => ({ day: name, count, entered, left });

describe("the change of a segment", () => {
  it("counts from before the first day, so that a segment of one day has a change too", () => {
    expect(change([day("2026-11-25", 7, 7, 0)])).toEqual({ by: 7, since: "2026-11-25" });
    expect(change([day("2026-11-01", 12, 2, 5), day("2026-11-25", 9, 0, 3)])).toEqual({ by: -6, since: "2026-11-01" });
  });
  it("is unknown without a day", () => expect(change([])).toBeNull());
});

describe("the search among segments", () => {
  const segment = { key: "hesite", label: { fr: "Hésite sur des sneakers", en: "Undecided" }, sentence: { en: "“Product Viewed” at least 3 times" } };
  it("finds by label, key and rule, in either language, without accents", () => {
    for (const words of ["hesite", "SNEAKERS hésite", "undec", "viewed 3 times", " "]) expect(matches(segment, words), words).toBe(true);
  });
  it("wants every word", () => expect(matches(segment, "sneakers blue")).toBe(false));
});
