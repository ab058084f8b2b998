/** Why a rule holds for a person or not, as the server explains it: a condition, what was seen, and its parts.
 *  `not` holds when its part does not. */
export interface Why {
  sentence: string;
  holds: boolean;
  /** What the condition found, in words. */
  observed: string | null;
  /** When the answer changes if nothing happens. */
  until: string | null;
  parts: Why[];
}

/** Reads the server's explanation; an older server's plain sentence stands for a condition without parts. */
export function readWhy(value: unknown, holds: boolean): Why {
  if (typeof value === "object" && value !== null && "sentence" in value && typeof value.sentence === "string") return value as Why;
  return { sentence: typeof value === "string" ? value : "", holds, observed: null, until: null, parts: [] };
}
