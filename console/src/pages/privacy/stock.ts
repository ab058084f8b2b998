import type { Schemas } from "../../api/client";

type Stock = Schemas["ConsentOversight"]["stocks"][number];

/** A purpose × channel that was counted on some day. */
export interface Pair {
  key: string;
  purpose: string;
  channel: string | null;
}

/** Every pair of the days, in the order in which they were first counted. */
export function pairs(stocks: Stock[]): Pair[] {
  const found = new Map<string, Pair>();
  for (const { reach } of stocks)
    for (const { purpose, channel } of reach) {
      const key = channel ? `${purpose}/${channel}` : purpose;
      if (!found.has(key)) found.set(key, { key, purpose, channel });
    }
  return [...found.values()];
}

/** How it stood on each day on which this pair was counted. Days without a count are left out: nothing is known of them. */
export function stockOf(stocks: Stock[], pair: Pair): { day: string; granted: number; denied: number; unknown: number; reachable: number }[] {
  return stocks.flatMap(({ day, reach }) => {
    const row = reach.find((one) => one.purpose === pair.purpose && one.channel === pair.channel);
    return row ? [{ day, granted: row.granted, denied: row.denied, unknown: row.unknown, reachable: row.reachable }] : [];
  });
}
