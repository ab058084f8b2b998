import type { Schemas } from "../../api/client";

type Minute = Schemas["FlowMinute"];
type Blocked = Schemas["Overview"]["blocked"][number];

/** The sum of one measure. */
export const total = <K extends string>(rows: readonly Record<K, number>[], key: K): number => rows.reduce((sum, row) => sum + row[key], 0);

/** The largest of some values, 0 for none. */
export const largest = (values: readonly number[]): number => values.reduce((most, value) => Math.max(most, value), 0);

/** Events in the last minute that is over; the one that runs is not full and would always look like a fall. */
export const lastFullMinute = (minutes: readonly Minute[]): number => minutes.at(-2)?.events ?? 0;

/** What was held back, the same refusals put together: a refusal names its time ("denied since …"), and there is one per person. */
export function heldBack(blocked: readonly Blocked[]): Blocked[] {
  const sums = new Map<string, Blocked>();
  for (const row of blocked) {
    const reason = row.reason.replace(/ since \d\S*$/, "");
    const key = JSON.stringify([row.activation, row.destination, reason]);
    const sum = sums.get(key);
    if (sum) sum.count += row.count;
    else sums.set(key, { ...row, reason });
  }
  return [...sums.values()].sort((a, b) => b.count - a.count);
}
