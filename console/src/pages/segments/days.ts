import type { Schemas } from "../../api/client";

type Day = Schemas["SegmentDay"];

/** How many people more or fewer than before the first of these days; `null` without a day. */
export function change(days: readonly Day[]): { by: number; since: string } | null {
  const [first, last] = [days[0], days.at(-1)];
  if (!first || !last) return null;
  return { by: last.count - (first.count - first.entered + first.left), since: first.day };
}

/** Whether what somebody types is in a segment's key, labels or sentences, whatever the case and the accents. */
export function matches(segment: Pick<Schemas["Segment"], "key" | "label" | "sentence">, words: string): boolean {
  const plain = (text: string) => text.normalize("NFD").replaceAll(/\p{Diacritic}/gu, "").toLowerCase();
  const text = plain([segment.key, ...Object.values(segment.label), ...Object.values(segment.sentence)].join("\n"));
  return plain(words).split(/\s+/).every((word) => text.includes(word));
}
