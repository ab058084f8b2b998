import { Button } from "@mantine/core";
import { IconPlayerPlay } from "@tabler/icons-react";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useMemo } from "react";
import { Link } from "wouter";
import { api, ApiError, unwrap, type Schemas } from "../../api/client";
import { Chart } from "../../charts/Chart";
import { CopyButton } from "../../components/CopyButton";
import { PageTitle, Panel } from "../../components/PageTitle";
import { Empty, Failure, Loading } from "../../components/states";
import { useFormat } from "../../format";
import { useI18n } from "../../i18n";
import { Circuit, useCapped } from "./Circuit";
import { Deliveries } from "./Deliveries";
import { EVERY_MS } from "./Destinations";
import { Drift } from "./Drift";
import { Prepare } from "./Prepare";
import { Results } from "./Results";
import css from "./Destinations.module.css";

const CHART_PX = 150;

/** One tool: how it is, what went there in the last hour, and each message. */
export default function Destination({ destination: key }: { destination: string }) {
  const { t } = useI18n();
  const destination = useQuery({
    queryKey: ["destinations", "one", key],
    queryFn: ({ signal }) => unwrap(api.GET("/v1/destinations/{key}", { params: { path: { key } }, signal })),
    refetchInterval: ({ state }) => (state.error ? false : EVERY_MS),
  });
  if (destination.data) {
    return (
      <>
        <PageTitle title={key}>
          <CopyButton text={location.href} label={t("common.copy_link")} />
        </PageTitle>
        <State destination={destination.data} />
        <Hour minutes={destination.data.minutes} />
        <Prepare destination={destination.data} />
        <Results destination={key} />
        <Drift destination={key} />
        <Deliveries destination={destination.data} />
      </>
    );
  }
  const missing = destination.error instanceof ApiError && destination.error.status === 404;
  return (
    <>
      <PageTitle title={key} />
      {missing ? (
        <Empty title={t("destinations.not_found", { key })} hint={t("destinations.not_found_hint")}>
          <Link href="/destinations">{t("destinations.all")}</Link>
        </Empty>
      ) : destination.error ? (
        <Failure error={destination.error} retry={() => void destination.refetch()} />
      ) : (
        <Loading />
      )}
    </>
  );
}

function State({ destination }: { destination: Schemas["Destination"] }) {
  const { t } = useI18n();
  const format = useFormat();
  const capped = useCapped();
  const queries = useQueryClient();
  const { key, connector, url, circuit, queued, oldest_queued_at: oldest, removals, cannot_be_told: untold, sent_hour, failed_hour, blocked_hour, dead, last_error: error, activations } = destination;
  const retry = useMutation({
    mutationFn: () => unwrap(api.POST("/v1/destinations/{key}/retry", { params: { path: { key } } })),
    onSettled: () => queries.invalidateQueries({ queryKey: ["destinations"] }),
  });
  const waiting = queued > 0 || circuit === "open";
  return (
    <section className={`panel ${css.state}`} aria-label={t("destinations.circuit")}>
      <div className={css.how}>
        <div className={css.now}>
          <Circuit destination={destination} />
          {waiting && (
            <Button size="xs" variant="default" loading={retry.isPending} onClick={() => retry.mutate()} leftSection={<IconPlayerPlay size={14} aria-hidden />}>
              {t("destinations.retry_now")}
            </Button>
          )}
          <span role="status" className="small muted">
            {retry.isSuccess && t("destinations.retried")}
          </span>
        </div>
        {retry.error && <Failure error={retry.error} />}
        {circuit === "open" && <p className="small muted">{t("destinations.stopped_hint")}</p>}
        {error && (
          <p className="small">
            <span className="muted">{t("destinations.last_error")}</span> <span className={css.error}>{error}</span>
          </p>
        )}
        {untold && (
          <p className="small">
            <span className={css.error}>{t("destinations.cannot_be_told", { reason: untold.reason, contact: untold.contact })}</span>
          </p>
        )}
        <p className="small muted">
          {connector} {url}
        </p>
        <p className="small muted">
          {activations.length > 0 ? t("destinations.activations", { list: activations.join(", ") }) : t("destinations.no_activations")}
        </p>
      </div>
      <dl className={css.figures}>
        <Figure label={t("destinations.queued")} value={capped(queued)} under={oldest ? t("destinations.oldest", { ago: format.ago(oldest) }) : ""} />
        <Figure label={t("destinations.removals")} value={format.number(removals.waiting)} under={removals.overdue > 0 ? t("destinations.removals_overdue", { n: format.number(removals.overdue) }) : ""} />
        <Figure label={t("destinations.sent_hour")} value={format.number(sent_hour)} under={t("destinations.last_hour")} />
        <Figure label={t("destinations.failed_hour")} value={format.number(failed_hour)} under={t("destinations.last_hour")} />
        <Figure label={t("destinations.blocked_hour")} value={format.number(blocked_hour)} under={t("destinations.last_hour")} />
        <Figure label={t("destinations.dead")} value={capped(dead)} under="" />
      </dl>
    </section>
  );
}

function Figure({ label, value, under }: { label: string; value: string; under: string }) {
  return (
    <div>
      <dt>{label}</dt>
      <dd>
        <b className="tabular">{value}</b>
        <span className="small muted">{under}</span>
      </dd>
    </div>
  );
}

function Hour({ minutes }: { minutes: Schemas["DestinationMinute"][] }) {
  const { t } = useI18n();
  const format = useFormat();
  const { labels, series } = useMemo(
    () => ({
      labels: minutes.map(({ at }) => format.minute(at)),
      series: [
        { label: t("destinations.sent_hour"), color: "--granted" as const, values: minutes.map((minute) => minute.sent) },
        { label: t("destinations.failed_hour"), color: "--unknown" as const, values: minutes.map((minute) => minute.failed) },
        { label: t("destinations.blocked_hour"), color: "--denied" as const, values: minutes.map((minute) => minute.blocked) },
      ],
    }),
    [minutes, format, t],
  );
  const sum = (of: "sent" | "failed" | "blocked") => format.number(minutes.reduce((all, minute) => all + minute[of], 0));
  return (
    <Panel title={t("destinations.hour")} className={css.chart ?? ""}>
      <div className="body">
        <Chart kind="bars" height={CHART_PX} labels={labels} series={series} slot={t("common.minute")} summary={t("destinations.chart", { sent: sum("sent"), failed: sum("failed"), blocked: sum("blocked") })} />
      </div>
    </Panel>
  );
}
