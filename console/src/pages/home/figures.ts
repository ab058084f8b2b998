import type { Schemas } from "../../api/client";

type Minute = Schemas["FlowMinute"];

/** The sum of one measure. */
export const total = <K extends string>(rows: readonly Record<K, number>[], key: K): number => rows.reduce((sum, row) => sum + row[key], 0);

/** The largest of some values, 0 for none. */
export const largest = (values: readonly number[]): number => values.reduce((most, value) => Math.max(most, value), 0);

/** Events in the last minute that is over; the one that runs is not full and would always look like a fall. */
export const lastFullMinute = (minutes: readonly Minute[]): number => minutes.at(-2)?.events ?? 0;
