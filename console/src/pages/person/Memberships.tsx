import type { Schemas } from "../../api/client";
import { Instant } from "../../components/Instant";
import { Panel } from "../../components/PageTitle";
import { SegmentName } from "../../components/SegmentName";
import { Loaded } from "../../components/states";
import { useFormat } from "../../format";
import { useI18n } from "../../i18n";
import css from "./Person.module.css";
import { useExplanation } from "./queries";
import { readWhy, type Why } from "./why";

type Verdict = Schemas["Explanation"]["segments"][number];

/** The segments that the person is in, why, and until when if nothing happens; those that she is not in are one click away. */
export function Memberships({ id }: { id: string }) {
  const { t, tn } = useI18n();
  return (
    <Panel title={t("person.segments")}>
      <Loaded query={useExplanation(id)}>
        {({ segments }) => {
          const members = segments.filter(({ member }) => member);
          const others = segments.filter(({ member }) => !member);
          return (
            <>
              {members.length === 0 && <p className={css.nothing}>{t(segments.length === 0 ? "person.no_segments_declared" : "person.no_segments")}</p>}
              <ul className={css.verdicts}>
                {members.map((verdict) => (
                  <li key={verdict.key}>
                    <Membership verdict={verdict} />
                  </li>
                ))}
              </ul>
              {others.length > 0 && (
                <details className={css.more}>
                  <summary>{tn("person.not_in", others.length)}</summary>
                  <ul className={css.verdicts}>
                    {others.map((verdict) => (
                      <li key={verdict.key}>
                        <Membership verdict={verdict} />
                      </li>
                    ))}
                  </ul>
                </details>
              )}
            </>
          );
        }}
      </Loaded>
    </Panel>
  );
}

function Membership({ verdict }: { verdict: Verdict }) {
  const { t } = useI18n();
  const format = useFormat();
  const { key, member, since, changes_at: changes } = verdict;
  return (
    <>
      <div className={css.line}>
        <SegmentName segment={key} />
        <span className="small muted">
          {since && (
            <>
              {t("person.since")} <Instant at={since} as="date" />
            </>
          )}
        </span>
      </div>
      <Reasons why={readWhy(verdict.why, member)} />
      {changes && <div className="small muted">{t(member ? "person.leaves_at" : "person.may_change_at", { at: format.instant(changes) })}</div>}
    </>
  );
}

/** A rule's conditions, each with whether it is as the rule wants it, and what was seen. */
function Reasons({ why, negated = false }: { why: Why; negated?: boolean }) {
  const { t } = useI18n();
  // A condition without parts is the whole reason; of a group only the parts say something, and a `not` turns its part around.
  if (why.parts.length === 0) return <ul className={css.reasons}><Condition why={why} negated={negated} /></ul>;
  const single = why.parts.length === 1;
  return (
    <ul className={css.reasons} aria-label={t("person.why")}>
      {why.parts.map((part, n) => {
        const turned = single && part.holds !== why.holds ? !negated : negated;
        if (part.parts.length === 0) return <Condition key={n} why={part} negated={turned} />;
        if (part.parts.length === 1 && part.parts[0]?.parts.length === 0) {
          return <Condition key={n} why={part.parts[0]} negated={part.parts[0].holds !== part.holds ? !turned : turned} />;
        }
        return (
          <li key={n} className={css.group}>
            {part.sentence}
            <Reasons why={part} negated={turned} />
          </li>
        );
      })}
    </ul>
  );
}

function Condition({ why, negated }: { why: Why; negated: boolean }) {
  const { t } = useI18n();
  const met = why.holds !== negated;
  return (
    <li className={met ? css.met : css.unmet}>
      <svg width="11" height="11" viewBox="0 0 10 10" aria-hidden="true">
        {met ? <path d="M1 5.3 4 8.2 9 2" /> : <path d="m2 2 6 6m0-6-6 6" />}
      </svg>
      <span>
        <span className={css.spoken}>{t(met ? "person.met" : "person.unmet")}, </span>
        {negated ? t("person.negated", { sentence: why.sentence }) : why.sentence}
        {why.observed !== null && <span className="muted"> ({t("person.observed", { observed: why.observed })})</span>}
      </span>
    </li>
  );
}
