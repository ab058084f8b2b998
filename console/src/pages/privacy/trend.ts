import type { Schemas } from "../../api/client";

type Day = Schemas["ConsentOversight"]["days"][number];
type Turn = Day["turns"][number];

const DAY_MS = 86_400_000;
/** Days drawn, at most. */
const DAYS_MAX = 366;

/** What turned on each day from the first to the last, days on which nothing did included. */
export function everyDay(days: Day[], counts: (turn: Turn) => boolean): { day: string; granted: number; denied: number; withdrawn: number }[] {
  const [first, last] = [days[0]?.day, days.at(-1)?.day];
  if (!first || !last) return [];
  const known = new Map(days.map((day) => [day.day, day.turns.filter(counts)]));
  const end = Date.parse(last);
  const begin = Math.max(Date.parse(first), end - (DAYS_MAX - 1) * DAY_MS);
  const rows = [];
  for (let at = begin; at <= end; at += DAY_MS) {
    const day = new Date(at).toISOString().slice(0, 10);
    const turns = known.get(day) ?? [];
    const sum = (of: "granted" | "denied" | "withdrawn") => turns.reduce((all, turn) => all + turn[of], 0);
    rows.push({ day, granted: sum("granted"), denied: sum("denied"), withdrawn: sum("withdrawn") });
  }
  return rows;
}
