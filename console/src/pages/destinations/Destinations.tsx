import { useQuery } from "@tanstack/react-query";
import { Link } from "wouter";
import { api, unwrap, type Schemas } from "../../api/client";
import { PageTitle } from "../../components/PageTitle";
import { Empty, Loaded } from "../../components/states";
import { useFormat } from "../../format";
import { useI18n } from "../../i18n";
import { Circuit, useCapped } from "./Circuit";
import css from "./Destinations.module.css";

/** How often the state of the destinations is asked for again. */
export const EVERY_MS = 5_000;

/** All tools that receive people, and how they are. */
export default function Destinations() {
  const { t } = useI18n();
  const destinations = useQuery({ queryKey: ["destinations", "list"], queryFn: ({ signal }) => unwrap(api.GET("/v1/destinations", { signal })), refetchInterval: EVERY_MS });
  return (
    <>
      <PageTitle title={t("destinations.title")}>
        <Link href="/connectors">{t("destinations.add")}</Link>
      </PageTitle>
      <Loaded query={destinations}>
        {({ items }) =>
          items.length === 0 ? (
            <Empty title={t("destinations.empty")} hint={t("destinations.empty_hint")}>
              <Link href="/connectors">{t("destinations.add")}</Link>
            </Empty>
          ) : (
            <section className="panel" aria-label={t("destinations.title")}>
              <table className={`rows ${css.list}`}>
                <thead>
                  <tr>
                    <th scope="col">{t("destinations.destination")}</th>
                    <th scope="col">{t("destinations.circuit")}</th>
                    <th scope="col" className="num">
                      {t("destinations.queued")}
                    </th>
                    {(["sent_hour", "failed_hour", "blocked_hour"] as const).map((key) => (
                      <th key={key} scope="col" className="num">
                        {t(`destinations.${key}`)} <span className={css.span}>{t("destinations.last_hour")}</span>
                      </th>
                    ))}
                    <th scope="col" className="num">
                      {t("destinations.dead")}
                    </th>
                  </tr>
                </thead>
                <tbody>
                  {items.map((destination) => (
                    <Row key={destination.key} destination={destination} />
                  ))}
                </tbody>
              </table>
            </section>
          )
        }
      </Loaded>
    </>
  );
}

function Row({ destination }: { destination: Schemas["Destination"] }) {
  const { t } = useI18n();
  const format = useFormat();
  const capped = useCapped();
  const { key, connector, url, queued, oldest_queued_at: oldest, sent_hour, failed_hour, blocked_hour, dead, last_error: error } = destination;
  const to = (state?: string) => `/destinations/${encodeURIComponent(key)}${state ? `?state=${state}` : ""}`;
  // On a narrow screen each number carries its heading, which has no room above.
  const figures: { label: string; value: string; state?: string; count: number }[] = [
    { label: t("destinations.sent_hour"), value: format.number(sent_hour), state: "sent", count: sent_hour },
    { label: t("destinations.failed_hour"), value: format.number(failed_hour), state: "failed", count: failed_hour },
    { label: t("destinations.blocked_hour"), value: format.number(blocked_hour), state: "blocked", count: blocked_hour },
    { label: t("destinations.dead"), value: capped(dead), state: "dead", count: dead },
  ];
  return (
    <tr>
      <td>
        <Link href={to()} className={css.name}>
          {key}
        </Link>
        <div className={css.url}>
          {connector} {url}
        </div>
      </td>
      <td>
        <Circuit destination={destination} />
        {error && <div className={css.error}>{error}</div>}
      </td>
      <td className="num" data-label={t("destinations.queued")}>
        {queued > 0 ? <Link href={to("queued")}>{capped(queued)}</Link> : "0"}
        {oldest && <div className="small muted nowrap">{t("destinations.oldest", { ago: format.ago(oldest) })}</div>}
      </td>
      {figures.map(({ label, value, state, count }) => (
        <td key={label} className="num" data-label={label}>
          {count > 0 ? <Link href={to(state)}>{value}</Link> : value}
        </td>
      ))}
    </tr>
  );
}
