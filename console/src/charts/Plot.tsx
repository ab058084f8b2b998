import { useEffect, useRef } from "react";
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import { useFormat } from "../format";
import css from "./Chart.module.css";
import { labelledSteps, stacked } from "./stack";

/** One measure over the steps of the chart. */
export interface Series {
  label: string;
  /** A colour of `global.css`, by its name: `--accent`. */
  color: `--${string}`;
  /** One value per step, oldest first. */
  values: number[];
}

export interface PlotProps {
  /** The name of each step, oldest first. */
  labels: string[];
  series: Series[];
  /** Stacked bars (flows that add up), or lines from zero. */
  kind: "bars" | "lines";
  height: number;
  /** Redraws in the other scheme's colours when it changes. */
  scheme: string;
}

const LABEL_PX = 58;

/** The drawing itself: a canvas with a tooltip under the pointer. */
export default function Plot({ labels, series, kind, height, scheme }: PlotProps) {
  const box = useRef<HTMLDivElement>(null);
  const tip = useRef<HTMLDivElement>(null);
  const format = useFormat();
  const names = series.map((one) => `${one.label}${one.color}`).join();
  // The newest numbers, for the tooltip and the redraw, without building the chart again.
  const now = useRef({ labels, series, format });
  now.current = { labels, series, format };
  const chart = useRef<uPlot | null>(null);
  const count = labels.length;

  useEffect(() => {
    const room = box.current;
    if (!room) return undefined;
    const ink = (name: string) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
    const bars = uPlot.paths.bars?.({ size: [0.72, 40], radius: 0.15 });
    const drawn: uPlot.Series[] = now.current.series.map((one) => {
      const color = ink(one.color);
      return kind === "bars" && bars ? { fill: color, stroke: color, width: 0, paths: bars, points: { show: false } } : { stroke: color, width: 2, points: { show: count < 3 } };
    });
    if (kind === "bars") drawn.reverse();
    const plot = new uPlot(
      {
        width: Math.max(room.clientWidth, 120),
        height,
        padding: [8, 22, 0, 0],
        legend: { show: false },
        cursor: { x: false, y: false, drag: { x: false, y: false }, points: { show: kind === "lines" } },
        scales: {
          x: { time: false, range: [-0.5, Math.max(count - 0.5, 0.5)] },
          y: { range: (_, __, max) => [0, Math.max(max, 1) * 1.05] },
        },
        series: [{}, ...drawn],
        axes: [
          {
            stroke: ink("--muted"),
            font: "11px system-ui, sans-serif",
            grid: { show: false },
            ticks: { show: false },
            size: 24,
            gap: 4,
            splits: (self) => labelledSteps(count, self.width - 66, LABEL_PX),
            values: (_, splits) => splits.map((n) => now.current.labels[n] ?? ""),
          },
          {
            stroke: ink("--muted"),
            font: "11px system-ui, sans-serif",
            grid: { stroke: ink("--line"), width: 1 },
            ticks: { show: false },
            size: 44,
            space: 36,
            incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1e3, 2e3, 5e3, 1e4, 2e4, 5e4, 1e5, 2e5, 5e5, 1e6, 2e6, 5e6, 1e7, 2e7, 5e7, 1e8],
            values: (_, splits) => splits.map((value) => now.current.format.compact(value)),
          },
        ],
        hooks: { setCursor: [(self) => showTip(self, tip.current, now.current)] },
      },
      drawing(now.current.series, kind, count),
      room,
    );
    chart.current = plot;
    const follow = new ResizeObserver(() => plot.setSize({ width: Math.max(room.clientWidth, 120), height }));
    follow.observe(room);
    return () => {
      follow.disconnect();
      plot.destroy();
      chart.current = null;
    };
    // The chart is built again when its shape or its colours change; numbers alone are given to the one that is there.
    // `scheme` is read through the computed colours.
  }, [names, kind, height, count, scheme]);

  useEffect(() => {
    chart.current?.setData(drawing(series, kind, count));
  }, [series, kind, count]);

  return (
    <div className={css.room}>
      <div ref={box} />
      <div ref={tip} className={css.tip} hidden aria-hidden="true" />
    </div>
  );
}

function drawing(series: Series[], kind: "bars" | "lines", count: number): uPlot.AlignedData {
  const values = series.map((one) => one.values);
  // Stacked bars are drawn from the tallest down, each over the one behind it.
  return [Array.from({ length: count }, (_, n) => n), ...(kind === "bars" ? stacked(values).reverse() : values)];
}

function showTip(plot: uPlot, tip: HTMLDivElement | null, { labels, series, format }: { labels: string[]; series: Series[]; format: ReturnType<typeof useFormat> }) {
  if (!tip) return;
  const n = plot.cursor.idx;
  const left = plot.cursor.left ?? -1;
  if (n === null || n === undefined || left < 0) {
    tip.hidden = true;
    return;
  }
  tip.replaceChildren(
    ...[labels[n] ?? "", ...series.map((one) => `${one.label}: ${format.number(one.values[n] ?? 0)}`)].map((words) => {
      const line = document.createElement("div");
      line.textContent = words;
      return line;
    }),
  );
  tip.hidden = false;
  const x = plot.over.offsetLeft + left;
  tip.style.left = `${Math.min(Math.max(x - tip.offsetWidth / 2, 0), plot.width - tip.offsetWidth)}px`;
}
