import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { api, unwrap, type Schemas } from "../../api/client";
import { useCursor } from "../../api/paging";
import { Instant } from "../../components/Instant";
import { Panel } from "../../components/PageTitle";
import { Pager } from "../../components/Pager";
import { PersonLink } from "../../components/PersonLink";
import { Empty, Failure, Loaded } from "../../components/states";
import { useFormat } from "../../format";
import { useI18n } from "../../i18n";
import { CountAgain } from "./CountAgain";
import css from "./Privacy.module.css";
import { askRetention, RETENTION_KEY, useRetention } from "./queries";

const CLOCKS = ["lapsed", "restricted", "due_30d", "due_90d", "running"] as const;
const PAGE = 20;

/** People who do nothing: whose time is over or ends soon, and who was erased for it. */
export function Retention() {
  const { t } = useI18n();
  const format = useFormat();
  const queries = useQueryClient();
  const retention = useRetention();
  const again = useMutation({ mutationFn: () => askRetention(true), onSuccess: (data) => queries.setQueryData(RETENTION_KEY, data) });
  return (
    <Loaded query={retention}>
      {({ prospects, then, at, counting, clocks, purposes, erased }) => (
        <>
          {prospects ? (
            <p className={css.notice}>{t(`privacy.clock_${prospects.then}`, { after: format.written(prospects.after) })}</p>
          ) : (
            <Empty title={t("privacy.no_clock")} hint={t("privacy.no_clock_hint")} />
          )}
          {prospects && !clocks && <Empty title={t("privacy.counting")} hint={t("privacy.counting_hint")} />}
          {clocks && at && (
            <div className={css.figures}>
              <CountAgain at={at} counting={counting} again={again} />
            </div>
          )}
          {again.error && <Failure error={again.error} />}
          {prospects && clocks && (
            <Panel title={t("privacy.clocks")}>
              <table className="rows">
                <tbody>
                  {CLOCKS.map((name) => (
                    <tr key={name} className="wrap">
                      <th scope="row">{t(`privacy.clocks_${name}`)}</th>
                      <td className="num">{format.number(clocks[name])}</td>
                    </tr>
                  ))}
                </tbody>
              </table>
            </Panel>
          )}
          {prospects && <Lapsed state="lapsed" title={t("privacy.lapsed_people")} />}
          {then && <Lapsed state="retention_over" title={t("privacy.past_every")} />}
          <Panel title={t("privacy.erased_days")}>
            {erased.length === 0 ? (
              <p className="body muted">{t("privacy.none_erased")}</p>
            ) : (
              <table className="rows">
                <tbody>
                  {erased.map(({ day, people }) => (
                    <tr key={day}>
                      <th scope="row">{format.calendarDay(day)}</th>
                      <td className="num">{format.number(people)}</td>
                    </tr>
                  ))}
                </tbody>
              </table>
            )}
          </Panel>
          <ByPurpose purposes={purposes} clocks={clocks} then={then} />
        </>
      )}
    </Loaded>
  );
}

/** Each purpose's retention, and whom it keeps no more. */
function ByPurpose({ purposes, clocks, then }: Pick<Schemas["Retention"], "purposes" | "clocks" | "then">) {
  const { t } = useI18n();
  const format = useFormat();
  const hasEvery = purposes.length > 0 && purposes.every(({ retention: span }) => span);
  return (
    <Panel title={t("privacy.retention_by_purpose")}>
      <table className="rows">
        <thead>
          <tr className="wrap">
            <th scope="col">{t("person.purpose")}</th>
            <th scope="col">{t("privacy.retention_span")}</th>
            <th scope="col" className="num">
              {t("privacy.past_retention")}
            </th>
          </tr>
        </thead>
        <tbody>
          {purposes.map(({ purpose, retention: span, past }) => (
            <tr key={purpose}>
              <th scope="row">{purpose}</th>
              <td>{span ? format.written(span) : t("privacy.retention_unsaid")}</td>
              <td className="num">{past === null ? "–" : format.number(past)}</td>
            </tr>
          ))}
        </tbody>
        {clocks && hasEvery && (
          <tfoot>
            <tr className="wrap">
              <th scope="row">{t("privacy.past_every")}</th>
              <td />
              <td className="num">{format.number(clocks.past_every)}</td>
            </tr>
          </tfoot>
        )}
      </table>
      <p className="body small muted">{t("privacy.past_retention_hint")}</p>
      {hasEvery && <p className="body small muted">{t(`privacy.past_every_${then ?? "none"}`)}</p>}
    </Panel>
  );
}

/** Whose time is over, by their ids. */
function Lapsed({ state, title }: { state: "lapsed" | "retention_over"; title: string }) {
  const { t } = useI18n();
  const paging = useCursor();
  const { cursor } = paging;
  const people = useQuery({
    queryKey: ["privacy", "retention", "people", state, cursor],
    queryFn: ({ signal }) => unwrap(api.GET("/v1/privacy/retention/people", { params: { query: { state, limit: String(PAGE), ...(cursor ? { cursor } : {}) } }, signal })),
  });
  return (
    <Panel title={title}>
      <Loaded query={people}>
        {({ items, next }) => (
          <>
            {items.length === 0 ? (
              <p className="body muted">{t("privacy.nobody_lapsed")}</p>
            ) : (
              <table className="rows">
                <thead>
                  <tr className="wrap">
                    <th scope="col">{t("person.one")}</th>
                    <th scope="col">{t("privacy.past_since")}</th>
                  </tr>
                </thead>
                <tbody>
                  {items.map(({ profile, since }) => (
                    <tr key={profile}>
                      <th scope="row">
                        <PersonLink profile={profile} />
                      </th>
                      <td>
                        <Instant at={since} />
                      </td>
                    </tr>
                  ))}
                </tbody>
              </table>
            )}
            <Pager paging={paging} next={next} />
          </>
        )}
      </Loaded>
    </Panel>
  );
}
