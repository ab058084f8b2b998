import { useQuery } from "@tanstack/react-query";
import { api, unwrap, type Schemas } from "../../api/client";
import { Panel } from "../../components/PageTitle";
import { Empty, Loaded } from "../../components/states";
import { useFormat } from "../../format";
import { useI18n } from "../../i18n";
import { useChannelName } from "../../components/ConsentState";
import { sumsOf } from "./sums";

const DAYS = 30;

type Rules = Schemas["Reductions"]["rules"];

/** What was left of events whose purpose is refused, and the rules that say so. */
export function Reductions() {
  const { t } = useI18n();
  const format = useFormat();
  const reductions = useQuery({
    queryKey: ["privacy", "reductions"],
    queryFn: ({ signal }) => unwrap(api.GET("/v1/privacy/reductions", { params: { query: { days: String(DAYS) } }, signal })),
  });
  return (
    <Loaded query={reductions}>
      {({ rules, days }) => {
        const sums = sumsOf(days);
        return (
          <>
            <Panel title={t("privacy.reductions")} aside={<span className="muted small">{t("home.last_days", { n: DAYS })}</span>}>
              {sums.length === 0 ? (
                <Empty title={t("privacy.nothing_reduced")} />
              ) : (
                <div className="scroll-x" tabIndex={0} role="group" aria-label={t("privacy.reductions")}>
                  <table className="rows">
                    <thead>
                      <tr className="wrap">
                        <th scope="col">{t("privacy.event")}</th>
                        <th scope="col">{t("privacy.source")}</th>
                        <th scope="col">{t("privacy.purpose")}</th>
                        <th scope="col">{t("privacy.left_over")}</th>
                        <th scope="col" className="num">
                          {t("privacy.last_day")}
                        </th>
                        <th scope="col" className="num">
                          {t("privacy.all_days")}
                        </th>
                      </tr>
                    </thead>
                    <tbody>
                      {sums.map((sum) => (
                        <tr key={[sum.source, sum.event, sum.purpose, sum.to].join("\n")}>
                          <th scope="row">{sum.event}</th>
                          <td>{sum.source}</td>
                          <td>{sum.purpose}</td>
                          <td>{t(`privacy.to_${sum.to}`)}</td>
                          <td className="num">{format.number(sum.last)}</td>
                          <td className="num">{format.number(sum.events)}</td>
                        </tr>
                      ))}
                    </tbody>
                  </table>
                </div>
              )}
            </Panel>
            <RuleList rules={rules} />
          </>
        );
      }}
    </Loaded>
  );
}

function RuleList({ rules }: { rules: Rules }) {
  const { t } = useI18n();
  const channelName = useChannelName();
  return (
    <Panel title={t("privacy.reduce_rules")}>
      {rules.length === 0 ? (
        <Empty title={t("privacy.no_reduce_rules")} hint={t("privacy.no_reduce_rules_hint")} />
      ) : (
        <div className="scroll-x" tabIndex={0} role="group" aria-label={t("privacy.reduce_rules")}>
          <table className="rows">
            <thead>
              <tr className="wrap">
                <th scope="col">{t("privacy.source")}</th>
                <th scope="col">{t("privacy.purpose")}</th>
                <th scope="col">{t("privacy.reduce_when")}</th>
                <th scope="col">{t("privacy.event")}</th>
                <th scope="col">{t("privacy.left_over")}</th>
              </tr>
            </thead>
            <tbody>
              {rules.map(({ source, rule }, n) => (
                <tr key={n}>
                  <th scope="row">{source}</th>
                  <td>
                    {rule.purpose} {rule.channel && <span className="muted small">({channelName(rule.channel)})</span>}
                  </td>
                  <td>{t(`privacy.when_${rule.when}`)}</td>
                  <td>
                    {rule.events.length > 0
                      ? rule.events.join(", ")
                      : rule.except.length > 0
                        ? t("privacy.all_events_but", { names: rule.except.join(", ") })
                        : t("privacy.all_events")}
                  </td>
                  <td>{t(`privacy.to_${rule.to}`)}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
    </Panel>
  );
}
