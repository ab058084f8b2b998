import { useQuery } from "@tanstack/react-query";
import { useMemo } from "react";
import { Link } from "wouter";
import { api, ApiError, unwrap, type Schemas } from "../../api/client";
import { PAGE_ROWS, useCursor } from "../../api/paging";
import { Chart } from "../../charts/Chart";
import { useChannelName } from "../../components/ConsentState";
import { CopyButton } from "../../components/CopyButton";
import { Instant } from "../../components/Instant";
import { JsonView } from "../../components/JsonView";
import { PageTitle, Panel } from "../../components/PageTitle";
import { Pager } from "../../components/Pager";
import { PersonLink } from "../../components/PersonLink";
import { Empty, Failure, Loaded, Loading } from "../../components/states";
import { useFormat } from "../../format";
import { useI18n } from "../../i18n";
import { mayActivate } from "../../shell/access";
import { useSession } from "../../shell/session";
import { Change } from "./Segments";
import css from "./Segments.module.css";

const EVERY_MS = 10_000;
const CHART_PX = 150;

/** One segment: who is in it, how that changes, and where they are sent. */
export default function Segment({ segment: key }: { segment: string }) {
  const { t, language } = useI18n();
  const format = useFormat();
  const segment = useQuery({
    queryKey: ["segments", "one", key],
    queryFn: ({ signal }) => unwrap(api.GET("/v1/segments/{key}", { params: { path: { key } }, signal })),
    refetchInterval: ({ state }) => (state.error ? false : EVERY_MS),
  });
  if (!segment.data) {
    const missing = segment.error instanceof ApiError && segment.error.status === 404;
    return (
      <>
        <PageTitle title={key} />
        {missing ? (
          <Empty title={t("segments.not_found", { key })} hint={t("segments.not_found_hint")}>
            <Link href="/segments">{t("segments.all")}</Link>
          </Empty>
        ) : segment.error ? (
          <Failure error={segment.error} retry={() => void segment.refetch()} />
        ) : (
          <Loading />
        )}
      </>
    );
  }
  const { label, sentence, count, days, status, definition, updated_at } = segment.data;
  return (
    <>
      <PageTitle title={label[language] ?? label.en ?? label.fr ?? key}>
        <CopyButton text={location.href} label={t("common.copy_link")} />
      </PageTitle>
      <div className={css.head}>
        <p className={css.figure}>
          <b className="tabular">{format.number(count)}</b> <Change days={days} />
          <span className="small muted">{status === "computing" ? t("segments.computing_hint") : t("segments.updated", { at: format.instant(updated_at) })}</span>
        </p>
        <p className={css.said}>
          {sentence[language] ?? sentence.en ?? sentence.fr} <span className="mono muted">{key}</span>
        </p>
      </div>
      <Days days={days} />
      <div className={css.halves}>
        <Members segment={key} />
        <div className={css.column}>
          <Activations segment={key} />
          <Panel title={t("segments.rule_json")}>
            <div className="body">
              <JsonView value={definition.rule ?? definition} label={key} />
            </div>
          </Panel>
        </div>
      </div>
    </>
  );
}

function Days({ days }: { days: Schemas["SegmentDay"][] }) {
  const { t } = useI18n();
  const format = useFormat();
  const drawn = useMemo(
    () => ({
      labels: days.map(({ day }) => format.calendarDay(day)),
      counts: [{ label: t("segments.count"), color: "--accent" as const, values: days.map((day) => day.count) }],
      moves: [
        { label: t("segments.entered"), color: "--granted" as const, values: days.map((day) => day.entered) },
        { label: t("segments.left"), color: "--denied" as const, values: days.map((day) => day.left) },
      ],
    }),
    [days, format, t],
  );
  const [first, last] = [days[0], days.at(-1)];
  if (!first || !last) return null;
  const sum = (of: "entered" | "left") => format.number(days.reduce((all, day) => all + day[of], 0));
  const ends = { first: format.number(first.count), from: format.calendarDay(first.day), last: format.number(last.count), to: format.calendarDay(last.day) };
  return (
    <div className={css.charts}>
      <Panel title={t("segments.days")}>
        <div className="body">
          <Chart kind="lines" height={CHART_PX} labels={drawn.labels} series={drawn.counts} slot={t("common.day")} summary={t("segments.chart_count", ends)} />
        </div>
      </Panel>
      <Panel title={t("segments.moves")}>
        <div className="body">
          <Chart kind="bars" height={CHART_PX} labels={drawn.labels} series={drawn.moves} slot={t("common.day")} summary={t("segments.chart_moves", { entered: sum("entered"), left: sum("left"), n: days.length })} />
        </div>
      </Panel>
    </div>
  );
}

function Members({ segment: key }: { segment: string }) {
  const { t } = useI18n();
  const paging = useCursor();
  const members = useQuery({
    queryKey: ["segments", "members", key, paging.cursor],
    queryFn: ({ signal }) =>
      unwrap(api.GET("/v1/segments/{key}/members", { params: { path: { key }, query: { limit: String(PAGE_ROWS), ...(paging.cursor ? { cursor: paging.cursor } : {}) } }, signal })),
  });
  return (
    <Panel title={t("segments.members")}>
      <Loaded query={members}>
        {({ items, next }) =>
          items.length === 0 && !paging.cursor ? (
            <Empty title={t("segments.no_members")} hint={t("segments.no_members_hint")} />
          ) : (
            <>
              <table className="rows">
                <thead>
                  <tr>
                    <th scope="col">{t("segments.person")}</th>
                    <th scope="col">{t("segments.since")}</th>
                  </tr>
                </thead>
                <tbody>
                  {items.map(({ profile, label, since }) => (
                    <tr key={profile}>
                      <td className={css.breaking}>
                        <PersonLink profile={profile} label={label} />
                      </td>
                      <td className="nowrap">
                        <Instant at={since} />
                      </td>
                    </tr>
                  ))}
                </tbody>
              </table>
              <Pager paging={paging} next={next} label={t("segments.members")} />
            </>
          )
        }
      </Loaded>
    </Panel>
  );
}

function Activations({ segment: key }: { segment: string }) {
  const { t } = useI18n();
  const { role } = useSession();
  const channelName = useChannelName();
  const activations = useQuery({
    queryKey: ["definitions", "activations"],
    queryFn: ({ signal }) => unwrap(api.GET("/v1/{collection}", { params: { path: { collection: "activations" } }, signal })),
    staleTime: 60_000,
  });
  return (
    <Panel title={t("segments.used_by")} aside={mayActivate(role) && <Link href={`/activations/new?segment=${encodeURIComponent(key)}`}>{t("segments.activate")}</Link>}>
      <Loaded query={activations}>
        {({ items }) => {
          const using = items.filter(({ definition }) => definition.segment === key);
          if (using.length === 0) return <Empty title={t("segments.used_by_none")} hint={t("segments.used_by_hint")} />;
          return (
            <ul className={css.uses}>
              {using.map(({ key: activation, definition: { destination, purpose, channel } }) => (
                <li key={activation}>
                  <b>{activation}</b> → <Link href={`/destinations/${encodeURIComponent(String(destination))}?activation=${encodeURIComponent(activation)}`}>{String(destination)}</Link>
                  <div className="small muted">
                    {String(purpose)} · {channelName(String(channel))}
                  </div>
                </li>
              ))}
            </ul>
          );
        }}
      </Loaded>
    </Panel>
  );
}
