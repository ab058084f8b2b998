import { Button } from "@mantine/core";
import { useState } from "react";
import { Link } from "wouter";
import { ConsentSign } from "../../components/ConsentState";
import { EyeBadge } from "../../components/EyeBadge";
import { readKind } from "../../components/gate";
import { useRefusalWords } from "../../components/GateReason";
import { Instant } from "../../components/Instant";
import { Panel } from "../../components/PageTitle";
import { Empty } from "../../components/states";
import { useFormat } from "../../format";
import { useI18n } from "../../i18n";
import type { Overview } from "./Home";
import css from "./Home.module.css";

/** Reasons shown at first, the most frequent; the others on demand. */
const HELD_ROWS = 4;

/** What the gate kept in the house, by reason, and what would open it. */
export function Held({ overview }: { overview: Overview }) {
  const { t, tn } = useI18n();
  const format = useFormat();
  const words = useRefusalWords();
  const [all, showAll] = useState(false);
  const sorted = overview.blocked.toSorted((a, b) => b.count - a.count);
  const rows = all ? sorted : sorted.slice(0, HELD_ROWS);
  return (
    <Panel title={t("home.held")} aside={<span className="muted small">{t("home.held_span")}</span>}>
      {rows.length === 0 ? (
        <Empty title={t("home.held_none")} hint={t("home.held_none_hint")} />
      ) : (
        <ul className={css.held}>
          {rows.map((row) => {
            const refusal = readKind(row.reason, row.purpose, row.channel);
            const { why, fix } = words(refusal);
            return (
              <li key={`${row.activation} ${row.destination} ${row.reason}`}>
                <Link className={css.heldCount} href={`/destinations/${encodeURIComponent(row.destination)}?state=blocked&activation=${encodeURIComponent(row.activation)}`}>
                  <b className="tabular">{tn("home.people_n", row.count)}</b>
                </Link>
                <div>
                  <p>
                    <ConsentSign state={refusal.why === "unknown" ? "unknown" : "denied"} size={14} /> {why}
                  </p>
                  <p className="muted small">
                    {fix} <span className="nowrap">{row.activation}</span> {t("home.held_to", { destination: row.destination })}
                  </p>
                </div>
              </li>
            );
          })}
        </ul>
      )}
      {sorted.length > rows.length && (
        <div className={css.more}>
          <Button size="xs" variant="subtle" onClick={() => showAll(true)}>
            {t("home.held_all", { n: format.number(sorted.length) })}
          </Button>
        </div>
      )}
    </Panel>
  );
}

/** The tools that receive people, and how they are. */
export function Destinations({ overview }: { overview: Overview }) {
  const { t } = useI18n();
  const format = useFormat();
  const path = (key: string, state?: string) => `/destinations/${encodeURIComponent(key)}${state ? `?state=${state}` : ""}`;
  return (
    <Panel title={t("app.destinations")} className={css.wide ?? ""}>
      {overview.destinations.length === 0 ? (
        <Empty title={t("home.no_destinations")} hint={t("home.no_destinations_hint")} />
      ) : (
        <div className={css.tableBox}>
          <table className="rows">
            <thead className="wrap">
              <tr>
                <th scope="col">{t("home.destination")}</th>
                <th scope="col">{t("home.circuit")}</th>
                <th scope="col" className="num">
                  {t("home.sent_short")}
                </th>
                <th scope="col" className="num">
                  {t("home.failed_hour")}
                </th>
                <th scope="col" className="num">
                  {t("home.waiting")}
                </th>
                <th scope="col" className="num">
                  {t("home.dead")}
                </th>
              </tr>
            </thead>
            <tbody>
              {overview.destinations.map((destination) => (
                <tr key={destination.key}>
                  <th scope="row">
                    <Link href={path(destination.key)}>{destination.key}</Link>
                  </th>
                  <td className="nowrap">
                    <span className={css.circuit} data-circuit={destination.circuit}>
                      {t(destination.circuit === "open" ? "home.circuit_open_bare" : "home.circuit_closed")}
                    </span>
                  </td>
                  <td className="num">
                    <Link href={path(destination.key, "sent")}>{format.number(destination.sent_hour)}</Link>
                  </td>
                  <td className="num">{format.number(destination.failed_hour)}</td>
                  <td className="num">
                    <Link href={path(destination.key, "queued")}>{format.number(destination.queued)}</Link>
                  </td>
                  <td className="num">
                    <Link href={path(destination.key, "dead")}>{format.number(destination.dead)}</Link>
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
    </Panel>
  );
}

/** Where events come from, and which of them fell silent. */
export function Sources({ overview }: { overview: Overview }) {
  const { t } = useI18n();
  const format = useFormat();
  return (
    <Panel title={t("home.sources")}>
      {overview.sources.length === 0 ? (
        <Empty title={t("home.no_sources")} hint={t("home.no_sources_hint")} />
      ) : (
        <div className={css.tableBox}>
          <table className="rows">
            <thead className="wrap">
              <tr>
                <th scope="col">{t("home.source")}</th>
                <th scope="col" className="num">
                  {t("home.events_hour")}
                </th>
                <th scope="col" className="num">
                  {t("home.last_at")}
                </th>
              </tr>
            </thead>
            <tbody>
              {overview.sources.map((source) => (
                <tr key={source.key}>
                  <td>
                    <Link href={`/live?source=${encodeURIComponent(source.key)}`}>
                      <EyeBadge source={source.key} kind={source.kind} />
                    </Link>
                  </td>
                  <td className="num">{format.number(source.events_hour)}</td>
                  <td className="num nowrap">{source.last_at ? <Instant at={source.last_at} as="ago" /> : <span className="muted">{t("home.silent")}</span>}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
    </Panel>
  );
}

/** Whether the house itself is well. */
export function Health({ overview }: { overview: Overview }) {
  const { t } = useI18n();
  const format = useFormat();
  const { health } = overview;
  const since = health.oldest_queued_at ? Math.max(0, (new Date(overview.at).getTime() - new Date(health.oldest_queued_at).getTime()) / 1000) : null;
  return (
    <Panel title={t("home.health")} className={css.all ?? ""} aside={<span className={css.circuit} data-circuit={health.ready ? "closed" : "open"}>{t(health.ready ? "home.ready" : "home.not_ready")}</span>}>
      <dl className={css.health}>
        {health.computing && (
          <div>
            <dt>{t("home.computing")}</dt>
            <dd>…</dd>
          </div>
        )}
        <div>
          <dt>{t("home.lag")}</dt>
          <dd>{format.number(health.lag_entries)}</dd>
        </div>
        <div>
          <dt>{t("home.intake")}</dt>
          <dd>{format.number(health.intake_waiting)}</dd>
        </div>
        <div>
          <dt>{t("home.queue")}</dt>
          <dd>
            {format.number(health.queued)} {since !== null && health.queued > 0 && <span className="muted small">{t("home.oldest", { span: format.duration(since) })}</span>}
          </dd>
        </div>
        <div>
          <dt>{t("home.memory")}</dt>
          <dd>{health.memory_bytes === null ? "–" : format.bytes(health.memory_bytes)}</dd>
        </div>
        <div>
          <dt>{t("home.disk")}</dt>
          <dd>{format.bytes(health.disk_bytes)}</dd>
        </div>
        <div>
          <dt>{t("home.uptime")}</dt>
          <dd>{format.duration(health.uptime_s)}</dd>
        </div>
      </dl>
      <p className={css.more}>
        <Link href="/health">{t("home.health_more")}</Link>
      </p>
    </Panel>
  );
}
