import type { Schemas } from "../../api/client";
import { ApiError } from "../../api/client";
import { CopyButton } from "../../components/CopyButton";
import { Instant } from "../../components/Instant";
import { PageTitle } from "../../components/PageTitle";
import { SegmentName } from "../../components/SegmentName";
import { Empty, Failure, Loading } from "../../components/states";
import { useFormat } from "../../format";
import { useI18n } from "../../i18n";
import { ConsentMatrix } from "./Consents";
import { Deliveries } from "./Deliveries";
import { Gate } from "./Gate";
import { Identity } from "./Identity";
import { Memberships } from "./Memberships";
import { nameOf, speaking } from "./name";
import css from "./Person.module.css";
import { useProfile } from "./queries";
import { SearchBox } from "./SearchBox";
import { Tools } from "./Tools";
import { Timeline } from "./Timeline";
import { Computed, Traits } from "./Traits";
import { useValueWords } from "./Value";

/** One person: who she is, what both eyes saw, what we may do, what we did. */
export default function Person({ id }: { id: string }) {
  const { t } = useI18n();
  const profile = useProfile(id);
  const gone = profile.error instanceof ApiError && (profile.error.status === 404 || profile.error.status === 410 || profile.error.status === 400);
  if (gone) return <Gone id={id} />;
  if (!profile.data) {
    return (
      <>
        <PageTitle title={t("person.one")} />
        {profile.error ? <Failure error={profile.error} retry={() => void profile.refetch()} /> : <Loading />}
      </>
    );
  }
  // A link by an identifier, or to somebody who became part of another profile, shows the profile that she is now.
  return <Whole profile={profile.data} asked={id} />;
}

function Whole({ profile, asked }: { profile: Schemas["Profile"]; asked: string }) {
  const { t } = useI18n();
  const { id } = profile;
  return (
    <>
      <PageTitle title={nameOf(profile) ?? t("person.anonymous")}>
        <CopyButton text={location.href} label={t("common.copy_link")} />
      </PageTitle>
      {profile.absorbed.includes(asked) && <p className={css.note}>{t("person.was_absorbed", { id: asked })}</p>}
      <Essence profile={profile} />
      {profile.segments.length > 0 && (
        <ul className={css.badges} aria-label={t("person.segments")}>
          {profile.segments.map(({ key }) => (
            <li key={key}>
              <SegmentName segment={key} />
            </li>
          ))}
        </ul>
      )}
      <nav className={css.jumps} aria-label={t("person.on_this_page")}>
        <a href="#may">{t("person.gate")}</a>
        <a href="#seen">{t("person.timeline")}</a>
        <a href="#who">{t("person.identifiers")}</a>
      </nav>
      <div className={css.columns}>
        <div className={css.who} id="who">
          <Identity profile={profile} />
          <Traits profile={profile} />
          <Computed profile={profile} />
        </div>
        <div className={css.seen} id="seen">
          <Timeline id={id} />
        </div>
        <div className={css.may} id="may">
          <Gate id={id} />
          <ConsentMatrix consents={profile.consents} />
          <Tools id={id} />
          <Memberships id={id} />
          <Deliveries id={id} />
        </div>
      </div>
    </>
  );
}

/** Computed traits that fit in the line of facts. */
const COMPUTED_SHOWN = 3;

/** What somebody at a telephone needs at one look: how to reach her, since when, how much. */
function Essence({ profile }: { profile: Schemas["Profile"] }) {
  const { t } = useI18n();
  const format = useFormat();
  const words = useValueWords();
  const contacts = speaking(profile).slice(0, 4);
  return (
    <dl className={css.essence}>
      {contacts.map(({ namespace, value }) => (
        <div key={`${namespace}:${value}`}>
          <dt>{namespace}</dt>
          <dd>{value}</dd>
        </div>
      ))}
      {Object.entries(profile.computed)
        .slice(0, COMPUTED_SHOWN)
        .map(([key, value]) => (
          <div key={key}>
            <dt>{key}</dt>
            <dd className="tabular">{words(value)}</dd>
          </div>
        ))}
      <div>
        <dt>{t("person.events")}</dt>
        <dd className="tabular">{format.number(profile.events)}</dd>
      </div>
      {profile.first_seen && (
        <div>
          <dt>{t("person.first_seen")}</dt>
          <dd>
            <Instant at={profile.first_seen} as="date" />
          </dd>
        </div>
      )}
      {profile.last_seen && (
        <div>
          <dt>{t("person.last_seen")}</dt>
          <dd>
            <Instant at={profile.last_seen} as="ago" />
          </dd>
        </div>
      )}
    </dl>
  );
}

/** Nobody at this address: never was, or erased. The server keeps no way to tell, and must not. */
function Gone({ id }: { id: string }) {
  const { t } = useI18n();
  return (
    <>
      <PageTitle title={t("person.not_found")} />
      <Empty title={t("person.nobody", { id })} hint={t("person.nobody_hint")}>
        <SearchBox />
      </Empty>
    </>
  );
}
