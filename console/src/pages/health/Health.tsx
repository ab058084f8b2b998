import { useQuery } from "@tanstack/react-query";
import type { ReactNode } from "react";
import { Link } from "wouter";
import { api, unwrap, type Schemas } from "../../api/client";
import { Panel, PageTitle } from "../../components/PageTitle";
import { Empty, Loaded } from "../../components/states";
import { useFormat } from "../../format";
import { useI18n } from "../../i18n";
import css from "./Health.module.css";

/** How often the page asks again. */
const EVERY_MS = 5_000;
/** Parts of the disk shown, the largest. */
const PARTS = 8;

type Details = Schemas["Health"];

/** Is the house well: how far behind, how long the steps take, what waits, what was dropped and why, what the disk holds. */
export default function Health() {
  const { t } = useI18n();
  const details = useQuery({
    queryKey: ["health"],
    queryFn: ({ signal }) => unwrap(api.GET("/v1/health/details", { signal })),
    refetchInterval: EVERY_MS,
  });
  return (
    <>
      <PageTitle title={t("health.title")} />
      <Loaded query={details}>
        {(data) => (
          <>
            <Verdict details={data} />
            <div className={css.grid}>
              <Steps details={data} />
              <Waiting details={data} />
              <Outboxes details={data} />
              <Dropped details={data} />
              <Stores details={data} />
              <Disk details={data} />
            </div>
          </>
        )}
      </Loaded>
    </>
  );
}

function Verdict({ details }: { details: Details }) {
  const { t } = useI18n();
  const format = useFormat();
  const { hits, misses, cached } = details.people;
  return (
    <section className={`panel ${css.verdict}`} aria-label={t("health.verdict")} data-ready={details.ready}>
      <p>
        <b>{t(details.ready ? "health.ready" : "health.not_ready")}</b> {details.why && <span lang="en">{details.why}</span>}
        {details.computing && <span className="muted">{t("home.computing")}</span>}
      </p>
      <dl className={css.figures}>
        <Figure name={t("home.uptime")}>{format.duration(details.uptime_s)}</Figure>
        <Figure name={t("home.memory")}>{details.memory_bytes === null ? "–" : format.bytes(details.memory_bytes)}</Figure>
        <Figure name={t("home.disk")}>{format.bytes(details.stores.reduce((sum, store) => sum + store.disk_bytes, 0))}</Figure>
        <Figure name={t("health.cached")}>{format.number(cached)}</Figure>
        <Figure name={t("health.hit_rate")}>{format.share(hits, hits + misses)}</Figure>
      </dl>
    </section>
  );
}

function Figure({ name, children }: { name: string; children: ReactNode }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  );
}

/** From the arrival to the tool: how long each step takes. */
function Steps({ details }: { details: Details }) {
  const { t } = useI18n();
  const format = useFormat();
  const ms = (value: number | null) => (value === null ? "–" : t("health.ms", { n: format.number(value < 10 ? Math.round(value * 100) / 100 : Math.round(value)) }));
  return (
    <Panel title={t("health.steps")} aside={<span className="muted small">{t("health.steps_span")}</span>}>
      <Scrolled label={t("health.steps")}>
        <table className="rows">
          <thead>
            <tr>
              <th scope="col">{t("health.step")}</th>
              <th scope="col" className="num">
                {t("health.median")}
              </th>
              <th scope="col" className="num">
                {t("health.p99")}
              </th>
              <th scope="col" className="num">
                {t("health.longest")}
              </th>
            </tr>
          </thead>
          <tbody>
            {details.durations.map((step) => (
              <tr key={step.key}>
                <th scope="row">{t(`health.step_${step.key}`)}</th>
                <td className="num">{ms(step.p50_ms)}</td>
                <td className="num">{ms(step.p99_ms)}</td>
                <td className="num">{ms(step.max_ms)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </Scrolled>
    </Panel>
  );
}

/** What waits inside the house. */
function Waiting({ details }: { details: Details }) {
  const { t } = useI18n();
  const format = useFormat();
  const { queues, lag } = details;
  return (
    <Panel title={t("health.waiting")}>
      <dl className={css.figures}>
        <Figure name={t("health.intake")}>{format.number(queues.intake)}</Figure>
        <Figure name={t("health.fold")}>
          {format.number(queues.fold_entries)} {lag.entries > 0 && <span className="muted small">{t("home.oldest", { span: format.duration(lag.seconds) })}</span>}
        </Figure>
        <Figure name={t("health.unwritten")}>{format.number(queues.unwritten_rows + queues.unwritten_people)}</Figure>
      </dl>
    </Panel>
  );
}

/** What waits for the tools, and whether they are left alone. */
function Outboxes({ details }: { details: Details }) {
  const { t } = useI18n();
  const format = useFormat();
  return (
    <Panel title={t("health.outboxes")}>
      {details.outboxes.length === 0 ? (
        <Empty title={t("home.no_destinations")} hint={t("home.no_destinations_hint")} />
      ) : (
        <Scrolled label={t("health.outboxes")}>
          <table className="rows">
            <thead>
              <tr>
                <th scope="col">{t("home.destination")}</th>
                <th scope="col">{t("home.circuit")}</th>
                <th scope="col" className="num">
                  {t("home.waiting")}
                </th>
                <th scope="col" className="num">
                  {t("health.dead")}
                </th>
              </tr>
            </thead>
            <tbody>
              {details.outboxes.map((outbox) => (
                <tr key={outbox.destination}>
                  <th scope="row">
                    <Link href={`/destinations/${encodeURIComponent(outbox.destination)}`}>{outbox.destination}</Link>
                  </th>
                  <td>
                    <span className={css.circuit} data-circuit={outbox.circuit}>
                      {t(`health.circuit_${outbox.circuit}`)}
                    </span>
                  </td>
                  <td className="num">
                    {format.number(outbox.queued)}{" "}
                    {outbox.oldest_queued_at && (
                      <span className="muted small">{t("home.oldest", { span: format.duration(Math.max(0, (Date.parse(details.at) - Date.parse(outbox.oldest_queued_at)) / 1000)) })}</span>
                    )}
                  </td>
                  <td className="num">{format.number(outbox.dead)}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </Scrolled>
      )}
    </Panel>
  );
}

/** What was not taken as it came, and why. */
function Dropped({ details }: { details: Details }) {
  const { t } = useI18n();
  const format = useFormat();
  return (
    <Panel title={t("health.dropped")} aside={<span className="muted small">{t("health.since_start")}</span>}>
      {details.dropped.length === 0 ? (
        <Empty title={t("health.dropped_none")} />
      ) : (
        <Scrolled label={t("health.dropped")}>
          <table className="rows">
            <thead>
              <tr>
                <th scope="col">{t("health.what")}</th>
                <th scope="col">{t("health.reason")}</th>
                <th scope="col" className="num">
                  {t("health.count")}
                </th>
              </tr>
            </thead>
            <tbody>
              {details.dropped.map((row) => (
                <tr key={`${row.what} ${row.reason}`}>
                  <th scope="row">{row.what === "quarantined" ? <Link href="/quarantine">{t("health.drop_quarantined")}</Link> : t(`health.drop_${row.what}`)}</th>
                  <td className="mono">{row.reason ?? "–"}</td>
                  <td className="num">{format.number(row.count)}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </Scrolled>
      )}
    </Panel>
  );
}

/** What writes have put off. */
function Stores({ details }: { details: Details }) {
  const { t } = useI18n();
  const format = useFormat();
  const rows = ["journals", "level0_files", "files", "flushes_waiting", "compactions_running", "compactions"] as const;
  return (
    <Panel title={t("health.debt")}>
      <Scrolled label={t("health.debt")}>
        <table className="rows">
          <thead>
            <tr>
              <td />
              {details.stores.map((store) => (
                <th key={store.key} scope="col" className="num">
                  {t(`health.store_${store.key}`)}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {rows.map((row) => (
              <tr key={row}>
                <th scope="row">{t(`health.debt_${row}`)}</th>
                {details.stores.map((store) => (
                  <td key={store.key} className="num">
                    {format.number(store[row])}
                  </td>
                ))}
              </tr>
            ))}
          </tbody>
        </table>
      </Scrolled>
    </Panel>
  );
}

/** What lies on the disk: the journals and the largest parts. */
function Disk({ details }: { details: Details }) {
  const { t } = useI18n();
  const format = useFormat();
  const parts = details.stores
    .flatMap((store) => [{ store: store.key, part: t("health.journals"), bytes: store.journal_bytes }, ...store.parts.map((part) => ({ store: store.key, ...part }))])
    .toSorted((a, b) => b.bytes - a.bytes)
    .slice(0, PARTS);
  return (
    <Panel title={t("home.disk")}>
      <Scrolled label={t("home.disk")}>
        <table className="rows">
          <thead>
            <tr>
              <th scope="col">{t("health.part")}</th>
              <th scope="col" className="num">
                {t("health.bytes")}
              </th>
            </tr>
          </thead>
          <tbody>
            {parts.map((part) => (
              <tr key={`${part.store} ${part.part}`}>
                <th scope="row">
                  {t(`health.store_${part.store}`)} · {part.part}
                </th>
                <td className="num">{format.bytes(part.bytes)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </Scrolled>
    </Panel>
  );
}

/** A table that is wider than a phone moves within its panel; the keyboard can move it too. */
function Scrolled({ label, children }: { label: string; children: ReactNode }) {
  return (
    <div className={css.scrolled} tabIndex={0} role="group" aria-label={label}>
      {children}
    </div>
  );
}
