import type { Schemas } from "../../api/client";
import { EyeBadge } from "../../components/EyeBadge";
import { Instant } from "../../components/Instant";
import { Panel } from "../../components/PageTitle";
import { useFormat } from "../../format";
import { useI18n } from "../../i18n";
import css from "./Person.module.css";
import { useValueWords } from "./Value";

/** What is known about the person, with where and when it came from. */
export function Traits({ profile }: { profile: Schemas["Profile"] }) {
  const { t } = useI18n();
  const words = useValueWords();
  const traits = Object.entries(profile.traits);
  return (
    <Panel title={t("person.traits")}>
      {traits.length === 0 ? (
        <p className={css.nothing}>{t("person.no_traits")}</p>
      ) : (
        <dl className={css.pairs}>
          {traits.map(([key, value]) => {
            const from = profile.provenance[key];
            return (
              <div key={key}>
                <dt>{key}</dt>
                <dd>
                  {words(value)}{" "}
                  {from && (
                    <span className={css.when}>
                      <Instant at={from.at} as="date" />
                    </span>
                  )}
                </dd>
                <dd className={css.aside}>{from && <EyeBadge source={from.source} />}</dd>
              </div>
            );
          })}
        </dl>
      )}
    </Panel>
  );
}

/** What was computed from the person's events: computed traits, affinities, scores. */
export function Computed({ profile }: { profile: Schemas["Profile"] }) {
  const { t } = useI18n();
  const words = useValueWords();
  const format = useFormat();
  const values = [...Object.entries(profile.computed), ...Object.entries(profile.scores)];
  const affinities = Object.entries(profile.affinities).filter(([, keys]) => keys.length > 0);
  return (
    <Panel title={t("person.computed")}>
      {values.length === 0 ? (
        <p className={css.nothing}>{t("person.no_computed")}</p>
      ) : (
        <dl className={css.pairs}>
          {values.map(([key, value]) => (
            <div key={key}>
              <dt>{key}</dt>
              <dd className="tabular">{words(value)}</dd>
            </div>
          ))}
        </dl>
      )}
      <h3 className={css.sub}>{t("person.affinities")}</h3>
      {affinities.length === 0 ? (
        <p className={css.nothing}>{t("person.no_affinities")}</p>
      ) : (
        <dl className={css.pairs}>
          {affinities.map(([of, keys]) => (
            <div key={of}>
              <dt>{of}</dt>
              <dd>{keys.map(({ key, score }) => `${key} ${format.share(Math.round(score * 100), 100)}`).join(", ")}</dd>
            </div>
          ))}
        </dl>
      )}
    </Panel>
  );
}
