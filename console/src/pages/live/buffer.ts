import type { Effect } from "./effect";

/** How many entries the list keeps; the oldest go first. */
export const ROWS_MAX = 1_000;

/** Puts newly arrived entries (oldest first) in front of those kept (newest first). After a reconnection the server tells the
 *  last ones again: what is here already is not taken twice. The same list comes back when there is nothing new. */
export function kept(rows: readonly Effect[], arrived: readonly Effect[], max: number = ROWS_MAX): readonly Effect[] {
  const known = new Set(rows.map(identity));
  const fresh: Effect[] = [];
  for (const effect of arrived) {
    if (known.has(identity(effect))) continue;
    known.add(identity(effect));
    fresh.push(effect);
  }
  return fresh.length === 0 ? rows : [...fresh.reverse(), ...rows].slice(0, max);
}

/** What tells one entry of the stream from another. */
export const identity = (effect: Effect): string => `${effect.position}:${effect.kind}`;

/** Entries per second over the last `window_ms`, from the times at which bursts arrived. */
export class Rate {
  #bursts: { at: number; count: number }[] = [];
  constructor(private readonly window_ms: number) {}

  /** Counts a burst, and forgets those that are older than the window. */
  add(at: number, count: number): void {
    this.#bursts.push({ at, count });
    this.#bursts = this.#bursts.filter((burst) => burst.at > at - this.window_ms);
  }

  /** Entries per second at an instant. */
  at(now: number): number {
    const within = this.#bursts.filter((burst) => burst.at > now - this.window_ms);
    return within.reduce((sum, burst) => sum + burst.count, 0) / (this.window_ms / 1000);
  }
}
