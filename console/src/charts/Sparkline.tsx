import css from "./Chart.module.css";

/** A line without axes, for a row of a list; its numbers stand beside it in words. */
export function Sparkline({ values, width = 96, height = 22 }: { values: number[]; width?: number; height?: number }) {
  if (values.length < 2) return null;
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const points = values.map((value, n) => {
    const x = (n / (values.length - 1)) * width;
    const y = high === low ? height / 2 : height - 1.5 - ((value - low) / (high - low)) * (height - 3);
    return `${x.toFixed(1)},${y.toFixed(1)}`;
  });
  return (
    <svg width={width} height={height} className={css.spark} aria-hidden="true">
      <polyline points={points.join(" ")} fill="none" stroke="var(--accent)" strokeWidth="1.5" strokeLinejoin="round" />
    </svg>
  );
}
