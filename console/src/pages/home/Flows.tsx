import { useMemo, type ReactNode } from "react";
import { Link } from "wouter";
import { Chart, type Series } from "../../charts/Chart";
import { Panel } from "../../components/PageTitle";
import { useFormat } from "../../format";
import { useI18n } from "../../i18n";
import { largest, lastFullMinute, total } from "./figures";
import type { Overview } from "./Home";
import css from "./Home.module.css";

const CHART_PX = 168;

/** A number that leads to what is behind it. */
function Figure({ value, words, href }: { value: string; words: string; href: string }) {
  return (
    <Link href={href} className={css.figure}>
      <b className="tabular">{value}</b> <span>{words}</span>
    </Link>
  );
}

function Figures({ children }: { children: ReactNode }) {
  return <div className={css.figures}>{children}</div>;
}

/** Events that arrived. */
export function Flow({ overview, range }: { overview: Overview; range: string }) {
  const { t } = useI18n();
  const format = useFormat();
  const byDay = range === "days";
  const { labels, series } = useMemo(() => {
    const rows = byDay ? overview.days : overview.minutes;
    const drawn: Series[] = [
      { label: t("home.events"), color: "--accent", values: rows.map((row) => row.events) },
      { label: t("home.quarantined"), color: "--denied", values: rows.map((row) => row.quarantined) },
    ];
    return { labels: byDay ? overview.days.map(({ day }) => format.calendarDay(day)) : overview.minutes.map(({ at }) => format.minute(at)), series: drawn };
  }, [overview, byDay, t, format]);
  const values = series[0]?.values ?? [];
  const gaps = { total: format.number(values.reduce((sum, value) => sum + value, 0)), max: format.number(largest(values)) };
  return (
    <Panel title={t("home.flowing")} className={css.wide ?? ""} aside={<span className="muted small">{byDay ? t("home.last_days", { n: overview.days.length }) : t("home.last_hour")}</span>}>
      <div className="body">
        <Figures>
          <Figure value={format.number(lastFullMinute(overview.minutes))} words={t("home.per_minute")} href="/live" />
          <Figure value={format.number(overview.days.at(-1)?.events ?? 0)} words={t("home.today")} href="/live" />
        </Figures>
        <Chart kind="bars" height={CHART_PX} labels={labels} series={series} slot={byDay ? t("common.day") : t("common.minute")} summary={t(byDay ? "home.chart_days" : "home.chart_flow", gaps)} />
      </div>
    </Panel>
  );
}

/** Who is known, and who is still a stranger. */
export function Who({ overview }: { overview: Overview }) {
  const { t, tn } = useI18n();
  const format = useFormat();
  const { people, recognised, days } = overview;
  const { labels, series } = useMemo(
    () => ({
      labels: days.map(({ day }) => format.calendarDay(day)),
      series: [
        { label: t("home.people"), color: "--film", values: days.map((day) => day.people) },
        { label: t("home.recognised_days"), color: "--photograph", values: days.map((day) => day.recognised) },
      ] satisfies Series[],
    }),
    [days, t, format],
  );
  return (
    <Panel title={t("home.who")} aside={<span className="muted small">{tn("home.joins_today", days.at(-1)?.joins ?? 0)}</span>}>
      <div className="body">
        <Figures>
          <Figure value={format.share(recognised, people)} words={tn("home.of_people", people)} href="/people" />
        </Figures>
        <svg className={css.share} viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true">
          <rect width="100" height="8" fill="var(--film)" />
          <rect width={people > 0 ? (recognised / people) * 100 : 0} height="8" fill="var(--photograph)" />
        </svg>
        <p className={css.shareWords}>
          <span>{t("home.recognised_n", { n: format.number(recognised) })}</span>
          <span>{t("home.anonymous_n", { n: format.number(Math.max(people - recognised, 0)) })}</span>
        </p>
        <Chart kind="lines" height={118} labels={labels} series={series} slot={t("common.day")} summary={t("home.chart_people", { people: format.number(total(days, "people")), recognised: format.number(total(days, "recognised")) })} />
      </div>
    </Panel>
  );
}

/** Messages that left, beside those that did not. */
export function Left({ overview, range }: { overview: Overview; range: string }) {
  const { t } = useI18n();
  const format = useFormat();
  const byDay = range === "days";
  const { labels, series } = useMemo(() => {
    const rows = byDay ? overview.days : overview.minutes;
    const drawn: Series[] = [
      { label: t("home.sent"), color: "--granted", values: rows.map((row) => row.sent) },
      { label: t("home.blocked"), color: "--denied", values: rows.map((row) => row.blocked) },
    ];
    return { labels: byDay ? overview.days.map(({ day }) => format.calendarDay(day)) : overview.minutes.map(({ at }) => format.minute(at)), series: drawn };
  }, [overview, byDay, t, format]);
  const sum = (n: number) => format.number((series[n]?.values ?? []).reduce((all, value) => all + value, 0));
  return (
    <Panel title={t("home.left")} className={css.wide ?? ""} aside={<span className="muted small">{byDay ? t("home.last_days", { n: overview.days.length }) : t("home.last_hour")}</span>}>
      <div className="body">
        <Figures>
          <Figure value={format.number(total(overview.destinations, "sent_hour"))} words={t("home.sent_hour")} href="/destinations" />
        </Figures>
        <Chart kind="bars" height={CHART_PX} labels={labels} series={series} slot={byDay ? t("common.day") : t("common.minute")} summary={t("home.chart_left", { sent: sum(0), blocked: sum(1) })} />
      </div>
    </Panel>
  );
}
