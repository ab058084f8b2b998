import type { Schemas } from "../../api/client";

type Days = Schemas["Reductions"]["days"];
type Count = Days[number]["counts"][number];

/** The days of each source, event, purpose and reduction added up, the most frequent first; `last`: those of the newest day. */
export function sumsOf(days: Days): (Count & { last: number })[] {
  const sums = new Map<string, Count & { last: number }>();
  days.forEach(({ counts }, n) => {
    for (const count of counts) {
      const key = [count.source, count.event, count.purpose, count.to].join("\n");
      const sum = sums.get(key) ?? { ...count, events: 0, last: 0 };
      sum.events += count.events;
      if (n === days.length - 1) sum.last = count.events;
      sums.set(key, sum);
    }
  });
  return [...sums.values()].sort((one, other) => other.events - one.events || one.event.localeCompare(other.event));
}
