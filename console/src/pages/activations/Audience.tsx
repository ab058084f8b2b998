import type { Schemas } from "../../api/client";
import { readKind } from "../../components/gate";
import { useRefusalWords } from "../../components/GateReason";
import { Panel } from "../../components/PageTitle";
import { Empty, Loaded } from "../../components/states";
import { useFormat } from "../../format";
import { useI18n } from "../../i18n";
import css from "./Activate.module.css";
import { isWhole, type Draft } from "./draft";
import { useAudience } from "./queries";

/** Whom the draft would reach, and why not the others. */
export function Audience({ draft }: { draft: Draft }) {
  const { t } = useI18n();
  const audience = useAudience(draft);
  return (
    <Panel title={t("activate.audience")}>
      {isWhole(draft) ? <Loaded query={audience}>{(found) => <Counts audience={found} draft={draft} />}</Loaded> : <Empty title={t("activate.not_whole")} hint={t("activate.not_whole_hint")} />}
    </Panel>
  );
}

function Counts({ audience, draft }: { audience: Schemas["Audience"]; draft: Draft }) {
  const { t, tn } = useI18n();
  const format = useFormat();
  const words = useRefusalWords();
  const { members, looked_at: looked, sampled, reachable, later, closed, untold } = audience;
  const held = closed.reduce((sum, { people }) => sum + people, 0);
  const figures = [
    [t("activate.members"), members],
    [t("activate.reachable"), reachable],
    [t("activate.later"), later],
    [t("activate.held"), held],
  ] as const;
  return (
    <div className={css.form}>
      <div role="status">
        <dl className={css.figures}>
          {figures.map(([name, count]) => (
            <div key={name}>
              <dt>{name}</dt>
              <dd>{format.number(count)}</dd>
            </div>
          ))}
        </dl>
      </div>
      {sampled && <p className="small muted">{t("activate.sampled", { n: format.number(looked) })}</p>}
      {members === 0 && <p className="small muted">{t("activate.nobody")}</p>}
      {closed.length > 0 && (
        <ul className={css.reasons} aria-label={t("activate.held")}>
          {closed.map(({ reason, people }) => (
            <li key={reason}>
              <meter min={0} max={looked} value={people} aria-hidden="true" />
              <b className="tabular">{format.number(people)}</b> <span>{words(readKind(reason, draft.purpose, draft.channel)).why}</span>
            </li>
          ))}
        </ul>
      )}
      {untold.length > 0 && (
        <ul className={css.reasons} aria-label={t("activate.untold")}>
          {untold.map(({ reason, people }) => (
            <li key={reason}>
              <span>{tn("activate.untold_n", people)}</span>{" "}
              <span lang="en" className="small muted">
                {reason}
              </span>
            </li>
          ))}
        </ul>
      )}
    </div>
  );
}
