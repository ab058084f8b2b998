import { NativeSelect } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { api, unwrap, type Schemas } from "../../api/client";
import { useParameter } from "../../api/paging";
import { Panel } from "../../components/PageTitle";
import { Loaded } from "../../components/states";
import { useFormat } from "../../format";
import { useI18n } from "../../i18n";
import css from "./Results.module.css";

const EVERY_MS = 60_000;
const PERIODS = ["7", "30", "90", "365"] as const;
const DAY_MS = 86_400_000;
/** Outcomes that are shown also when there are none; the others only when there are some. */
const ALWAYS: readonly Schemas["Outcome"][] = ["delivered", "opened", "clicked"];
const OUTCOMES = ["delivered", "opened", "opened_by_machine", "clicked", "converted", "answered", "not_answered", "bounced", "complained", "unsubscribed"] as const satisfies readonly Schemas["Outcome"][];
/** What nobody wishes for. */
const UNWANTED: ReadonlySet<string> = new Set(["blocked", "refused", "bounced", "complained", "unsubscribed", "not_answered"]);

interface Step {
  name: "queued" | "blocked" | "refused" | "sent" | Schemas["Outcome"];
  people: number;
  total: number | null;
  /** What the share is of. */
  of: number;
}

/** From queued to converted. Shares of what was sent, since a tool reports of nothing else. */
function steps({ queued, blocked, refused, sent, outcomes }: Schemas["ResultsItem"]): Step[] {
  const inside: Step[] = [
    { name: "queued", people: queued, total: null, of: queued + blocked },
    { name: "blocked", people: blocked, total: null, of: queued + blocked },
    { name: "sent", people: sent, total: null, of: queued },
  ];
  if (refused > 0) inside.push({ name: "refused", people: refused, total: null, of: queued });
  const reported = OUTCOMES.filter((name) => ALWAYS.includes(name) || outcomes[name].total > 0);
  return [...inside, ...reported.map((name) => ({ name, ...outcomes[name], of: sent }))];
}

/** What came of the messages to one tool: a funnel for each activation. */
export function Results({ destination }: { destination: string }) {
  const { t } = useI18n();
  const [days, choose] = useParameter("days", "30");
  const from = new Date(Date.now() - (Number(days) - 1) * DAY_MS).toISOString().slice(0, 10);
  const results = useQuery({
    queryKey: ["destinations", "results", destination, from],
    queryFn: ({ signal }) => unwrap(api.GET("/v1/results", { params: { query: { destination, from } }, signal })),
    refetchInterval: EVERY_MS,
  });
  const period = (
    <NativeSelect
      size="xs"
      aria-label={t("results.period")}
      value={days}
      onChange={(event) => choose(event.currentTarget.value)}
      data={PERIODS.map((value) => ({ value, label: t(`results.days_${value}`) }))}
    />
  );
  return (
    <Panel title={t("results.title")} aside={period} className={css.panel ?? ""}>
      <Loaded query={results}>
        {({ items }) => (items.length === 0 ? <p className="body small muted">{t("results.none")}</p> : items.map((item) => <Funnel key={item.activation ?? ""} item={item} />))}
      </Loaded>
    </Panel>
  );
}

function Funnel({ item }: { item: Schemas["ResultsItem"] }) {
  const { t } = useI18n();
  const format = useFormat();
  const name = item.activation ?? t("results.of_no_message");
  // Bars of one measure, so that they narrow; a report of no message of ours has no step before it.
  const rows = item.activation === null ? steps(item).filter(({ total }) => total) : steps(item);
  const whole = Math.max(item.queued + item.blocked, ...rows.map(({ people }) => people));
  return (
    <section className={css.funnel} aria-label={name}>
      <h3>{name}</h3>
      <table className={css.steps}>
        <thead>
          <tr>
            <th scope="col">{t("results.step")}</th>
            <th scope="col">{t("results.people")}</th>
            <th scope="col">{t("results.share")}</th>
            <th scope="col">{t("results.reports")}</th>
          </tr>
        </thead>
        <tbody>
          {rows.map(({ name: step, people, total, of }) => (
            <tr key={step}>
              <th scope="row">
                {t(`results.${step}`)}
                <span className={css.bar} aria-hidden>
                  <i className={UNWANTED.has(step) ? css.unwanted : ""} style={{ width: `${whole > 0 ? (people / whole) * 100 : 0}%` }} />
                </span>
              </th>
              <td className="tabular">{format.number(people)}</td>
              <td className="tabular">{format.share(people, of)}</td>
              <td className="tabular">{total === null ? "" : format.number(total)}</td>
            </tr>
          ))}
        </tbody>
      </table>
      {item.match_rate !== null && (
        <p className="small muted">{t("results.match_rate", { share: format.share(item.sent, item.sent + item.refused), n: format.number(item.sent + item.refused) })}</p>
      )}
      {item.activation === null && <p className="small muted">{t("results.of_no_message_hint")}</p>}
    </section>
  );
}
