import { NativeSelect } from "@mantine/core";
import { useMemo } from "react";
import { useParameter } from "../../api/paging";
import { Chart, type Series } from "../../charts/Chart";
import { useChannelName } from "../../components/ConsentState";
import { Panel } from "../../components/PageTitle";
import { useFormat } from "../../format";
import { useI18n } from "../../i18n";
import css from "./Privacy.module.css";
import type { Oversight } from "./queries";
import { pairs, stockOf } from "./stock";

const CHART_PX = 170;

/** How consent stood at the last count of each day, of one purpose × channel. */
export function Stocks({ stocks }: { stocks: Oversight["stocks"] }) {
  const { t } = useI18n();
  const format = useFormat();
  const channelName = useChannelName();
  const known = pairs(stocks);
  const [asked, setAsked] = useParameter("stock");
  const pair = known.find((one) => one.key === asked) ?? known[0];
  const { labels, series } = useMemo(() => {
    const rows = pair ? stockOf(stocks, pair) : [];
    return {
      labels: rows.map(({ day }) => format.calendarDay(day)),
      series: [
        { label: t("privacy.stock_granted"), color: "--granted", values: rows.map((row) => row.granted) },
        { label: t("privacy.stock_denied"), color: "--denied", values: rows.map((row) => row.denied) },
        { label: t("privacy.stock_unknown"), color: "--unknown", values: rows.map((row) => row.unknown) },
        { label: t("privacy.reachable"), color: "--accent", values: rows.map((row) => row.reachable) },
      ] satisfies Series[],
    };
  }, [stocks, pair, t, format]);
  if (!pair) return null;
  const last = (n: number) => format.number(series[n]?.values.at(-1) ?? 0);
  const summary = t("privacy.stock_summary", { granted: last(0), denied: last(1), unknown: last(2), reachable: last(3) });
  return (
    <Panel title={t("privacy.stock")} aside={<span className="muted small">{t("privacy.stock_days")}</span>}>
      <div className="body">
        <div className={css.filters}>
          <NativeSelect
            size="xs"
            label={`${t("person.purpose")} · ${t("person.channel")}`}
            value={pair.key}
            onChange={(event) => setAsked(event.currentTarget.value)}
            data={known.map((one) => ({ value: one.key, label: `${one.purpose} · ${channelName(one.channel)}` }))}
          />
        </div>
        <Chart kind="lines" height={CHART_PX} labels={labels} series={series} slot={t("common.day")} summary={summary} />
        <p className="small muted">{summary}</p>
      </div>
    </Panel>
  );
}
