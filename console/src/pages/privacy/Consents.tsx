import { NativeSelect } from "@mantine/core";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useMemo } from "react";
import { Link } from "wouter";
import { useParameter } from "../../api/paging";
import { Chart, type Series } from "../../charts/Chart";
import { ConsentState, useChannelName } from "../../components/ConsentState";
import { Panel } from "../../components/PageTitle";
import { Empty, Failure, Loaded } from "../../components/states";
import { useFormat } from "../../format";
import { useI18n, type TextKey } from "../../i18n";
import { AgedPeople, AGES, useAged } from "./AgedPeople";
import { CountAgain } from "./CountAgain";
import css from "./Privacy.module.css";
import { Stocks } from "./Stocks";
import { askConsents, CONSENTS_KEY, useConsents, type Census, type Oversight } from "./queries";
import { everyDay } from "./trend";

const CHART_PX = 170;
const SIGNALS = ["bounce", "complaint", "opposition", "objection", "restriction"] as const;

/** A purpose by its key; a signal (`!objection`) in words. */
export function usePurposeName(): (purpose: string) => string {
  const { t } = useI18n();
  return (purpose) => {
    const signal = SIGNALS.find((one) => purpose === `!${one}`);
    return signal ? t(`privacy.signal_${signal}` satisfies TextKey) : purpose;
  };
}

/** Consent by purpose, channel and source: how it stands, how it moves, how it ages. */
export function Consents() {
  const { t } = useI18n();
  const consents = useConsents();
  return (
    <Loaded query={consents}>
      {(data) => (
        <>
          {data.census ? <Counted census={data.census} counting={data.counting} /> : <Empty title={t("privacy.counting")} hint={t("privacy.counting_hint")} />}
          <Stocks stocks={data.stocks} />
          <Trend days={data.days} />
          {data.census && <Sources states={data.census.states} />}
        </>
      )}
    </Loaded>
  );
}

function Counted({ census, counting }: { census: Census; counting: boolean }) {
  const { t, tn } = useI18n();
  const format = useFormat();
  const channelName = useChannelName();
  const queries = useQueryClient();
  const again = useMutation({ mutationFn: () => askConsents(true), onSuccess: (data) => queries.setQueryData(CONSENTS_KEY, data) });
  const aged = useAged();
  const ageing = census.reach.filter((row) => AGES.some((age) => row[age] > 0));
  return (
    <>
      <div className={css.figures}>
        <div>
          <b className="tabular">{format.number(census.people)}</b> <span>{tn("privacy.people_counted", census.people)}</span>
        </div>
        <CountAgain at={census.at} counting={counting} again={again} />
      </div>
      {again.error && <Failure error={again.error} />}
      <Panel title={t("privacy.state")}>
        {census.reach.length === 0 ? (
          <Empty title={t("privacy.no_choices")} />
        ) : (
          <div className="scroll-x" tabIndex={0} role="group" aria-label={t("privacy.state")}>
            <table className="rows">
              <thead>
                <tr>
                  <th scope="col">{t("person.purpose")}</th>
                  <th scope="col">{t("person.channel")}</th>
                  {(["granted", "denied", "unknown"] as const).map((state) => (
                    <th key={state} scope="col" className="num">
                      <ConsentState state={state} />
                    </th>
                  ))}
                  <th scope="col" className="num">
                    {t("privacy.reachable")}
                  </th>
                  <th scope="col">{t("privacy.reachable_share")}</th>
                </tr>
              </thead>
              <tbody>
                {census.reach.map((row) => (
                  <tr key={`${row.purpose} ${row.channel}`}>
                    <th scope="row">{row.purpose}</th>
                    <td>{channelName(row.channel)}</td>
                    <td className="num">{format.number(row.granted)}</td>
                    <td className="num">{format.number(row.denied)}</td>
                    <td className="num">{format.number(row.unknown)}</td>
                    <td className="num">
                      <b>{format.number(row.reachable)}</b>
                    </td>
                    <td>
                      <span className="small muted">{format.share(row.reachable, census.people)}</span>
                      <svg className={css.bar} viewBox="0 0 100 6" preserveAspectRatio="none" aria-hidden="true">
                        <rect width={census.people > 0 ? (row.reachable / census.people) * 100 : 0} height="6" fill="var(--granted)" />
                      </svg>
                    </td>
                  </tr>
                ))}
              </tbody>
            </table>
          </div>
        )}
        <p className="body small muted">{t("privacy.state_hint")}</p>
      </Panel>
      <Panel title={t("privacy.ageing")}>
        {ageing.length === 0 ? (
          <p className="body muted">{t("privacy.no_ageing")}</p>
        ) : (
          <div className="scroll-x" tabIndex={0} role="group" aria-label={t("privacy.ageing")}>
            <table className="rows">
              <thead>
                <tr className="wrap">
                  <th scope="col">{t("person.purpose")}</th>
                  <th scope="col">{t("person.channel")}</th>
                  {AGES.map((age) => (
                    <th key={age} scope="col" className="num">
                      {t(`privacy.age_${age}`)}
                    </th>
                  ))}
                </tr>
              </thead>
              <tbody>
                {ageing.map((row) => (
                  <tr key={`${row.purpose} ${row.channel}`}>
                    <th scope="row">{row.purpose}</th>
                    <td>{channelName(row.channel)}</td>
                    {AGES.map((age) => (
                      <td key={age} className="num">
                        {row[age] > 0 ? <Link href={aged.link(row, age)}>{format.number(row[age])}</Link> : format.number(0)}
                      </td>
                    ))}
                  </tr>
                ))}
              </tbody>
            </table>
          </div>
        )}
      </Panel>
      {aged.asked && <AgedPeople asked={aged.asked} />}
    </>
  );
}

function Sources({ states }: { states: Census["states"] }) {
  const { t } = useI18n();
  const format = useFormat();
  const channelName = useChannelName();
  const purposeName = usePurposeName();
  if (states.length === 0) return null;
  return (
    <Panel title={t("privacy.by_source")}>
      <div className="scroll-x" tabIndex={0} role="group" aria-label={t("privacy.by_source")}>
        <table className="rows">
          <thead>
            <tr>
              <th scope="col">{t("person.source")}</th>
              <th scope="col">{t("person.purpose")}</th>
              <th scope="col">{t("person.channel")}</th>
              <th scope="col" className="num">
                <ConsentState state="granted" />
              </th>
              <th scope="col" className="num">
                <ConsentState state="denied" />
              </th>
              <th scope="col" className="num">
                {t("privacy.age_weak")}
              </th>
            </tr>
          </thead>
          <tbody>
            {states.map((row) => (
              <tr key={`${row.source} ${row.purpose} ${row.channel}`}>
                <th scope="row">{row.source}</th>
                <td>{purposeName(row.purpose)}</td>
                <td>{channelName(row.channel)}</td>
                <td className="num">{format.number(row.granted)}</td>
                <td className="num">{format.number(row.denied)}</td>
                <td className="num">{format.number(row.weak)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </Panel>
  );
}

/** What was chosen each day, of one purpose, channel or source, or of all. */
function Trend({ days }: { days: Oversight["days"] }) {
  const { t } = useI18n();
  const format = useFormat();
  const channelName = useChannelName();
  const purposeName = usePurposeName();
  const [purpose, setPurpose] = useParameter("purpose");
  const [channel, setChannel] = useParameter("channel");
  const [source, setSource] = useParameter("source");
  const turns = days.flatMap((day) => day.turns);
  const different = (values: string[]) => [...new Set(values)].sort();
  const written = (one: string | null) => one ?? "all";
  const { labels, series } = useMemo(() => {
    const rows = everyDay(days, (turn) => (!purpose || turn.purpose === purpose) && (!channel || written(turn.channel) === channel) && (!source || turn.source === source));
    return {
      labels: rows.map(({ day }) => format.calendarDay(day)),
      series: [
        { label: t("privacy.turn_granted"), color: "--granted", values: rows.map((row) => row.granted) },
        { label: t("privacy.turn_denied"), color: "--unknown", values: rows.map((row) => row.denied) },
        { label: t("privacy.turn_withdrawn"), color: "--denied", values: rows.map((row) => row.withdrawn) },
      ] satisfies Series[],
    };
  }, [days, purpose, channel, source, t, format]);
  const sum = (n: number) => format.number((series[n]?.values ?? []).reduce((all, one) => all + one, 0));
  const summary = t("privacy.trend_summary", { granted: sum(0), denied: sum(1), withdrawn: sum(2) });
  return (
    <Panel title={t("privacy.trend")} aside={<span className="muted small">{t("privacy.trend_days")}</span>}>
      <div className="body">
        {turns.length === 0 ? (
          <p className="muted">{t("privacy.no_turns")}</p>
        ) : (
          <>
            <div className={css.filters}>
              {(
                [
                  ["person.purpose", purpose, setPurpose, different(turns.map((turn) => turn.purpose)), purposeName],
                  ["person.channel", channel, setChannel, different(turns.map((turn) => written(turn.channel))), (one: string) => channelName(one === "all" ? null : one)],
                  ["person.source", source, setSource, different(turns.map((turn) => turn.source)), (one: string) => one],
                ] as const
              ).map(([label, value, set, values, name]) => (
                <NativeSelect
                  key={label}
                  size="xs"
                  label={t(label)}
                  value={value}
                  onChange={(event) => set(event.currentTarget.value)}
                  data={[{ value: "", label: t("common.all") }, ...values.map((one) => ({ value: one, label: name(one) }))]}
                />
              ))}
            </div>
            <Chart kind="bars" height={CHART_PX} labels={labels} series={series} slot={t("common.day")} summary={summary} />
            <p className="small muted">{summary}</p>
          </>
        )}
      </div>
    </Panel>
  );
}
