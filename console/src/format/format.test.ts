import { describe, expect, it } from "vitest";
import { formatBytes, formatMoney, formatShare, isMoney, span, writtenSpan } from "./format";

const plain = (words: string | null) => words?.replaceAll(/[\u00a0\u202f]/g, " ");

describe("money", () => {
  it("is written from minor units in each locale", () => {
    expect(plain(formatMoney("fr-FR", { amount: 41890, currency: "EUR" }))).toBe("418,90 €");
    expect(formatMoney("en-GB", { amount: 5, currency: "GBP" })).toBe("£0.05");
    expect(formatMoney("en-US", { amount: -1, currency: "USD" })).toBe("-$0.01");
  });
  it("knows currencies with no minor unit and with three", () => {
    expect(formatMoney("en-US", { amount: 1250, currency: "JPY" })).toBe("¥1,250");
    expect(plain(formatMoney("en-US", { amount: 1250, currency: "TND" }))).toBe("TND 1.250");
  });
  it("stays exact where a float would not", () => expect(formatMoney("en-US", { amount: 9007199254740991, currency: "USD" })).toBe("$90,071,992,547,409.91"));
  it("is told from other objects", () => {
    expect(isMoney({ amount: 1, currency: "EUR" })).toBe(true);
    expect(isMoney({ amount: 1.5, currency: "EUR" })).toBe(false);
    expect(isMoney({ amount: 1 })).toBe(false);
    expect(isMoney(null)).toBe(false);
  });
});

describe("a span", () => {
  it.each([
    [0, "0s"],
    [59.9, "59s"],
    [60, "1min"],
    [3599, "59min"],
    [3600, "1h"],
    [47 * 3600, "47h"],
    [48 * 3600, "2d"],
    [-3, "0s"],
  ])("of %d s is %s", (seconds, words) => {
    const { n, unit } = span(seconds);
    expect(`${n}${unit}`).toBe(words);
  });
});

describe("a span as definitions write it", () => {
  it.each([
    ["1095d", "1,095 days"],
    ["1d", "1 day"],
    ["36h", "36 hours"],
    ["3y", "3y"],
    ["", ""],
  ])("%s is %s", (text, words) => expect(writtenSpan("en", text)).toBe(words));
  it("is in the reader's language", () => expect(writtenSpan("fr", "400d")).toMatch(/^400\sjours$/));
});

describe("a share", () => {
  it("has no value without a whole", () => expect(formatShare("en", 0, 0)).toBeNull());
  it("is never rounded up to all", () => expect(formatShare("en", 9999, 10_000)).toBe("99%"));
  it("keeps a digit when small", () => expect(formatShare("en", 12, 1000)).toBe("1.2%"));
});

it("sizes step by 1,000", () => {
  expect(formatBytes("en", 0)).toBe("0 byte");
  expect(formatBytes("en", 999)).toBe("999 byte");
  expect(formatBytes("en", 1_250_000)).toBe("1.3 MB");
});
