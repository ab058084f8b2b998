import { IconLink, IconPlus, IconUserPlus } from "@tabler/icons-react";
import type { Schemas } from "../../api/client";
import { EyeBadge } from "../../components/EyeBadge";
import { Instant } from "../../components/Instant";
import { Panel } from "../../components/PageTitle";
import { PersonLink } from "../../components/PersonLink";
import { Failure } from "../../components/states";
import { useI18n } from "../../i18n";
import { speaking } from "./name";
import css from "./Person.module.css";
import { useJoins } from "./queries";
import { Split } from "./Split";

type Join = Schemas["Joins"]["items"][number];
const SIGNS = { first: IconUserPlus, attached: IconPlus, joined: IconLink };

/** What names this person, and how that came together. */
export function Identity({ profile }: { profile: Schemas["Profile"] }) {
  const { t, tn } = useI18n();
  const joins = useJoins(profile.id);
  return (
    <Panel title={t("person.identifiers")} aside={profile.absorbed.length > 0 && <span className="small muted">{tn("person.profiles_made", profile.absorbed.length + 1)}</span>}>
      <dl className={css.pairs}>
        {[...speaking(profile), ...profile.identifiers.filter(({ namespace }) => namespace === "anonymous_id")].map(({ namespace, value, source, first_seen, last_seen }) => (
          <div key={`${namespace}:${value}`} title={`${t("person.first_seen")} ${first_seen} · ${t("person.last_seen")} ${last_seen}`}>
            <dt>{namespace}</dt>
            <dd className={namespace === "anonymous_id" ? css.machine : ""}>{value}</dd>
            <dd className={css.aside}>
              <EyeBadge source={source} />
            </dd>
          </div>
        ))}
      </dl>
      {profile.refused_joins.length > 0 && (
        <ul className={css.refused}>
          {profile.refused_joins.map((words) => (
            <li key={words}>{t("person.refused_join", { words })}</li>
          ))}
        </ul>
      )}
      {joins.data?.splits.map((split) => (
        <p key={split.position} className={css.parted}>
          {t("person.was_taken_apart")} <PersonLink profile={split.other} /> · <Instant at={split.at} /> · {split.by}
          {split.reason && ` · ${t(`person.split_${split.reason}`)}`}
        </p>
      ))}
      <Split profile={profile} />
      <details className={css.more}>
        <summary>{t("person.how_joined")}</summary>
        {joins.error && <Failure error={joins.error} retry={() => void joins.refetch()} />}
        <ol className={css.joins}>
          {joins.data?.items.map((join) => (
            <li key={join.position} className={css[`join_${join.kind}`]}>
              <JoinLine join={join} />
            </li>
          ))}
        </ol>
      </details>
    </Panel>
  );
}

function JoinLine({ join }: { join: Join }) {
  const { t, tn } = useI18n();
  const Sign = SIGNS[join.kind];
  const named = (of: Join["identifiers"]) => of.map(({ namespace, value }) => `${namespace} ${value}`).join(", ");
  const known = join.identifiers.filter((one) => !join.new.some((other) => other.namespace === one.namespace && other.value === one.value));
  return (
    <>
      <Sign size={15} stroke={1.8} aria-hidden />
      <div>
        <div>
          {t(`person.join_${join.kind}`, { named: named(join.identifiers), fresh: named(join.new), known: named(known) })} {join.kind === "joined" && join.brought > 0 && tn("person.brought", join.brought)}
        </div>
        <div className="small muted">
          <Instant at={join.at} /> · {join.source}
        </div>
      </div>
    </>
  );
}
