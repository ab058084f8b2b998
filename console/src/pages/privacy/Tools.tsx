import { Chart } from "../../charts/Chart";
import { useChannelName } from "../../components/ConsentState";
import { useRefusalWords } from "../../components/GateReason";
import { readKind } from "../../components/gate";
import { Instant } from "../../components/Instant";
import { Panel } from "../../components/PageTitle";
import { Empty, Loaded } from "../../components/states";
import { useFormat } from "../../format";
import { useI18n } from "../../i18n";
import type { Schemas } from "../../api/client";
import css from "./Privacy.module.css";
import { useConsents, useTools } from "./queries";

type Tool = Schemas["ToolOversight"]["items"][number];

const CHART_PX = 130;

/** Removals per tool, tools that cannot be told, what was held back, and drift. */
export function Tools() {
  const { t } = useI18n();
  const format = useFormat();
  const tools = useTools();
  const inside = useConsents().data?.census?.inside;
  return (
    <Loaded query={tools}>
      {({ items, blocked, days }) => (
        <>
          {items
            .filter((tool) => tool.cannot_be_told)
            .map(({ destination, cannot_be_told: risk }) => (
              <p key={destination} className={css.notice} role="status">
                <b>{t("privacy.risk", { tool: destination })}</b> {risk && t("privacy.risk_ask", { reason: risk.reason, contact: risk.contact })}
              </p>
            ))}
          <Panel title={t("privacy.withdrawals")}>
            {items.length === 0 ? (
              <Empty title={t("privacy.no_tools")} />
            ) : (
              <div className="scroll-x" tabIndex={0} role="group" aria-label={t("privacy.withdrawals")}>
                <table className="rows">
                  <thead>
                    <tr className="wrap">
                      <th scope="col">{t("privacy.tool")}</th>
                      <th scope="col">{t("privacy.country")}</th>
                      <th scope="col" className="num">
                        {t("privacy.inside")}
                      </th>
                      <th scope="col" className="num">
                        {t("privacy.confirmed", { n: days })}
                      </th>
                      <th scope="col" className="num">
                        {t("privacy.pending")}
                      </th>
                      <th scope="col" className="num">
                        {t("privacy.overdue")}
                      </th>
                      <th scope="col">{t("privacy.oldest")}</th>
                      <th scope="col">{t("privacy.within")}</th>
                    </tr>
                  </thead>
                  <tbody>
                    {items.map((tool) => (
                      <tr key={tool.destination}>
                        <th scope="row">{tool.destination}</th>
                        <td>
                          {tool.country ?? "–"} {tool.transfer && <span className="muted small">({tool.transfer})</span>}
                        </td>
                        <td className="num">{inside ? format.number(inside[tool.destination] ?? 0) : "–"}</td>
                        <td className="num">{tool.cannot_be_told ? <span className={css.late}>{t("privacy.cannot")}</span> : format.number(tool.confirmed)}</td>
                        <td className="num">{format.number(tool.removals.waiting - tool.removals.overdue)}</td>
                        <td className={`num ${tool.removals.overdue > 0 ? css.late : ""}`}>{format.number(tool.removals.overdue)}</td>
                        <td className="nowrap">{tool.removals.oldest_at ? <Instant at={tool.removals.oldest_at} as="ago" /> : "–"}</td>
                        <td className="nowrap">{tool.cannot_be_told ? "–" : format.duration(tool.confirm_within_s)}</td>
                      </tr>
                    ))}
                  </tbody>
                </table>
              </div>
            )}
          </Panel>
          <Held blocked={blocked} days={days} />
          {items
            .filter(({ drift }) => drift.length > 0)
            .map((tool) => (
              <DriftOf key={tool.destination} tool={tool} />
            ))}
          {items.length > 0 && items.every(({ drift }) => drift.length === 0) && (
            <Panel title={t("privacy.drift")}>
              <p className="body muted">{t("privacy.no_drift")}</p>
            </Panel>
          )}
        </>
      )}
    </Loaded>
  );
}

function Held({ blocked, days }: { blocked: Schemas["ToolOversight"]["blocked"]; days: number }) {
  const { t } = useI18n();
  const format = useFormat();
  const channelName = useChannelName();
  const words = useRefusalWords();
  return (
    <Panel title={t("privacy.held")} aside={<span className="muted small">{t("home.last_days", { n: days })}</span>}>
      {blocked.length === 0 ? (
        <p className="body muted">{t("privacy.nothing_held")}</p>
      ) : (
        <div className="scroll-x" tabIndex={0} role="group" aria-label={t("privacy.held")}>
          <table className="rows">
            <thead>
              <tr>
                <th scope="col">{t("privacy.tool")}</th>
                <th scope="col">{t("person.purpose")}</th>
                <th scope="col">{t("person.channel")}</th>
                <th scope="col">{t("privacy.why")}</th>
                <th scope="col" className="num">
                  {t("privacy.messages")}
                </th>
              </tr>
            </thead>
            <tbody>
              {blocked.map((row) => (
                <tr key={`${row.activation} ${row.reason}`}>
                  <th scope="row">{row.destination}</th>
                  <td>{row.purpose}</td>
                  <td>{channelName(row.channel)}</td>
                  <td>{words(readKind(row.reason, row.purpose, row.channel)).why}</td>
                  <td className="num">{format.number(row.count)}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
    </Panel>
  );
}

function DriftOf({ tool }: { tool: Tool }) {
  const { t } = useI18n();
  const format = useFormat();
  const rows = [...tool.drift].reverse();
  const last = tool.drift[0];
  const summary = last ? t("privacy.drift_summary", { tool: tool.destination, many: format.number(last.too_many), few: format.number(last.too_few), unknown: format.number(last.unknown) }) : "";
  return (
    <Panel title={t("privacy.drift_of", { tool: tool.destination })} aside={last && <Instant at={last.at} as="ago" className="muted small" />}>
      <div className="body">
        <Chart
          kind={rows.length > 1 ? "lines" : "bars"}
          height={CHART_PX}
          labels={rows.map(({ at }) => format.instant(at))}
          slot={t("destinations.drift_compared")}
          series={[
            { label: t("destinations.drift_too_many"), color: "--denied", values: rows.map((row) => row.too_many) },
            { label: t("destinations.drift_too_few"), color: "--film", values: rows.map((row) => row.too_few) },
            { label: t("destinations.drift_unknown"), color: "--unknown", values: rows.map((row) => row.unknown) },
          ]}
          summary={summary}
        />
        <p className="small muted">{summary}</p>
      </div>
    </Panel>
  );
}
