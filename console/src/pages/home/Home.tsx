import { SegmentedControl } from "@mantine/core";
import { Link } from "wouter";
import type { Schemas } from "../../api/client";
import { useOverview } from "../../api/overview";
import { useParameter } from "../../api/paging";
import { PageTitle } from "../../components/PageTitle";
import { Empty, Loaded } from "../../components/states";
import { useFormat } from "../../format";
import { useI18n } from "../../i18n";
import { Flow, Left, Who } from "./Flows";
import { Destinations, Health, Held, Sources } from "./Tables";
import css from "./Home.module.css";

/** The workspace at a glance, as the server gives it. */
export type Overview = Schemas["Overview"];

/** What flows, who is recognised, what left, what was held back and why, and whether the house is well. */
export default function Home() {
  const { t } = useI18n();
  const overview = useOverview();
  const [range, setRange] = useParameter("range", "hour");
  return (
    <>
      <PageTitle title={t("home.title")}>
        <SegmentedControl
          size="xs"
          aria-label={t("home.range")}
          value={range === "days" ? "days" : "hour"}
          onChange={setRange}
          data={[
            { value: "hour", label: t("home.hour") },
            { value: "days", label: t("home.days") },
          ]}
        />
      </PageTitle>
      <Loaded query={overview}>
        {(data) => (
          <>
            <Notices overview={data} />
            {data.events === 0 && data.quarantine === 0 && (
              <section className={`panel ${css.first}`}>
                <Empty title={t("home.empty")} hint={t("home.empty_hint")}>
                  <pre className={css.try} tabIndex={0}>{`curl -X POST ${location.origin}/v1/track -H 'content-type: application/json' \\
  -d '{"writeKey":"…","anonymousId":"a1","event":"Product Viewed"}'`}</pre>
                </Empty>
              </section>
            )}
            <div className={css.grid}>
              <Flow overview={data} range={range} />
              <Who overview={data} />
              <Left overview={data} range={range} />
              <Held overview={data} />
              <Destinations overview={data} />
              <Sources overview={data} />
              <Health overview={data} />
            </div>
          </>
        )}
      </Loaded>
    </>
  );
}

/** What asks for a look before anything else. */
function Notices({ overview }: { overview: Overview }) {
  const { t, tn } = useI18n();
  const format = useFormat();
  const stopped = overview.destinations.filter((destination) => destination.circuit === "open");
  return (
    <>
      {!overview.health.ready && (
        <p className={css.notice} role="status">
          <b>{t("home.not_ready")}.</b> {t("home.not_ready_hint")}
        </p>
      )}
      {stopped.map((destination) => (
        <p key={destination.key} className={css.notice} data-tone="denied">
          <b>
            <Link href={`/destinations/${encodeURIComponent(destination.key)}`}>{destination.key}</Link>:
          </b>{" "}
          {destination.retry_at ? t("home.circuit_open", { at: format.time(destination.retry_at) }) : t("home.circuit_open_bare")}
        </p>
      ))}
      {overview.heavy.people > 0 && (
        <p className={css.notice} role="status">
          {tn("home.heavy_n", overview.heavy.people, { min: format.number(overview.heavy.events_min) })}.{" "}
          {overview.heavy.items.map(({ profile, events }) => (
            <Link key={profile} href={`/people/${encodeURIComponent(profile)}`} className={css.heavy ?? ""}>
              {t("home.heavy_events", { n: format.number(events) })}
            </Link>
          ))}
        </p>
      )}
      {overview.quarantine > 0 && (
        <p className={css.notice} data-tone="denied">
          {tn("home.quarantine_n", overview.quarantine)}. <Link href="/quarantine">{t("home.quarantine_see")}</Link>
        </p>
      )}
    </>
  );
}
