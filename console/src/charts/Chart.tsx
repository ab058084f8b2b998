import { useMantineColorScheme } from "@mantine/core";
import { lazy, Suspense, useState } from "react";
import { useFormat } from "../format";
import { useI18n } from "../i18n";
import css from "./Chart.module.css";
import type { PlotProps } from "./Plot";

// The chart library is loaded by the first page that draws.
const Plot = lazy(() => import("./Plot"));

export type { Series } from "./Plot";

interface Props extends Omit<PlotProps, "scheme"> {
  /** What the chart shows, in a sentence with its main figures: what a screen reader says of it. */
  summary: string;
  /** The heading of the first column when it is shown as a table. */
  slot: string;
}

/** Series over equal steps of time, as bars or lines, or as a table for who cannot or does not want to see the drawing. */
export function Chart({ summary, slot, ...plot }: Props) {
  const { t } = useI18n();
  const format = useFormat();
  const { colorScheme } = useMantineColorScheme();
  const [table, setTable] = useState(false);
  return (
    <figure className={css.figure}>
      <figcaption className={css.caption}>
        {plot.series.map((series) => (
          <span key={series.label} className={css.legend}>
            <svg width="10" height="10" aria-hidden="true">
              <rect width="10" height="10" rx="2" fill={`var(${series.color})`} />
            </svg>
            {series.label}
          </span>
        ))}
        <button type="button" className={css.toggle} onClick={() => setTable(!table)}>
          {table ? t("common.show_chart") : t("common.show_table")}
        </button>
      </figcaption>
      {table ? (
        <div className={css.scroll} tabIndex={0} role="region" aria-label={summary} style={{ maxHeight: plot.height }}>
          <table className="rows">
            <thead>
              <tr>
                <th scope="col">{slot}</th>
                {plot.series.map((series) => (
                  <th key={series.label} scope="col" className="num">
                    {series.label}
                  </th>
                ))}
              </tr>
            </thead>
            <tbody>
              {plot.labels.map((label, n) => (
                <tr key={n}>
                  <th scope="row">{label}</th>
                  {plot.series.map((series) => (
                    <td key={series.label} className="num">
                      {format.number(series.values[n] ?? 0)}
                    </td>
                  ))}
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      ) : (
        <div role="img" aria-label={summary} style={{ minHeight: plot.height }}>
          <Suspense fallback={null}>
            <Plot {...plot} scheme={colorScheme} />
          </Suspense>
        </div>
      )}
    </figure>
  );
}
