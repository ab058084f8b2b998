/** Series laid on top of each other: each one's upper edge, the first at the bottom. */
export function stacked(series: readonly (readonly number[])[]): number[][] {
  const tops: number[][] = [];
  for (const values of series) {
    const below = tops.at(-1);
    tops.push(values.map((value, n) => value + (below?.[n] ?? 0)));
  }
  return tops;
}

/** Which of `count` steps get a label when one is `label_px` wide at least: every k-th, counted back from the newest. */
export function labelledSteps(count: number, width_px: number, label_px: number): number[] {
  const every = Math.max(1, Math.ceil((count * label_px) / Math.max(width_px, 1)));
  const steps: number[] = [];
  for (let n = count - 1; n >= 0; n -= every) steps.unshift(n);
  return steps;
}
