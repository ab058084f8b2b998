import { useQuery } from "@tanstack/react-query";
import { useEffect, useRef, type KeyboardEvent } from "react";
import { Link, useSearchParams } from "wouter";
import { api, unwrap, type Schemas } from "../../api/client";
import { PAGE_ROWS, useCursor } from "../../api/paging";
import { Instant } from "../../components/Instant";
import { Pager } from "../../components/Pager";
import { PageTitle } from "../../components/PageTitle";
import { SegmentName } from "../../components/SegmentName";
import { Empty, Failure, Loading } from "../../components/states";
import { useFormat } from "../../format";
import { useI18n } from "../../i18n";
import { isTyping } from "../../shell/keys";
import { nameOf, speaking } from "./name";
import css from "./Person.module.css";
import { SearchBox } from "./SearchBox";

const SEGMENTS_SHOWN = 3;

/** Finds people by any identifier, or by a trait. */
export default function People() {
  const { t } = useI18n();
  const [parameters] = useSearchParams();
  const query = parameters.get("query")?.trim() ?? "";
  return (
    <>
      <PageTitle title={query ? t("person.title_query", { query }) : t("person.title")} />
      <SearchBox />
      {query ? <Found query={query} /> : <Empty title={t("person.search_empty")} hint={<Hints />} />}
    </>
  );
}

function Found({ query }: { query: string }) {
  const { t, tn } = useI18n();
  const paging = useCursor();
  const { cursor } = paging;
  const found = useQuery({
    queryKey: ["people", query, cursor],
    queryFn: ({ signal }) => unwrap(api.GET("/v1/profiles", { params: { query: { query, limit: String(PAGE_ROWS), ...(cursor ? { cursor } : {}) } }, signal })),
  });
  const list = useRef<HTMLTableSectionElement>(null);
  const arrived = found.data !== undefined;
  useEffect(() => {
    // Who searched from the keyboard goes on with the results: Enter opens the first, the arrows choose another.
    if (!arrived || !(document.activeElement === document.body || document.activeElement?.id === "content" || isTyping(document.activeElement))) return;
    list.current?.querySelector("a")?.focus();
  }, [arrived, query]);
  if (found.error) return <Failure error={found.error} retry={() => void found.refetch()} />;
  if (!found.data) return <Loading />;
  const { items, next } = found.data;
  if (items.length === 0 && !next && !cursor) return <Empty title={t("person.search_none", { query })} hint={<Hints />} />;
  return (
    <section className="panel" aria-label={t("person.found")}>
      <p className={css.count} role="status">
        {next || cursor ? tn("person.found_here", items.length) : tn("person.found_n", items.length)}
      </p>
      <div className="scroll-x">
        <table className={`rows ${css.found}`}>
          <thead>
            <tr>
              <th scope="col">{t("person.name")}</th>
              <th scope="col">{t("person.identifiers")}</th>
              <th scope="col">{t("person.segments")}</th>
              <th scope="col" className="num">
                {t("person.events")}
              </th>
              <th scope="col">{t("person.last_seen")}</th>
            </tr>
          </thead>
          <tbody ref={list} onKeyDown={step}>
            {items.map((profile) => (
              <Row key={profile.id} profile={profile} />
            ))}
          </tbody>
        </table>
      </div>
      <Pager paging={paging} next={next} label={t("person.found")} />
    </section>
  );
}

/** The arrows go from person to person. */
function step(event: KeyboardEvent<HTMLElement>) {
  const way = event.key === "ArrowDown" ? 1 : event.key === "ArrowUp" ? -1 : 0;
  if (way === 0) return;
  const links = [...event.currentTarget.querySelectorAll<HTMLElement>("a[data-person]")];
  const here = links.findIndex((link) => link.closest("tr")?.contains(document.activeElement));
  const next = links[here + way];
  if (!next) return;
  event.preventDefault();
  next.focus();
}

function Row({ profile }: { profile: Schemas["Profile"] }) {
  const { t } = useI18n();
  const format = useFormat();
  const known = speaking(profile);
  const shown = known.length > 0 ? known : profile.identifiers;
  return (
    <tr>
      <td>
        <Link href={`/people/${encodeURIComponent(profile.id)}`} data-person={profile.id}>
          {nameOf(profile) ?? t("person.anonymous")}
        </Link>
      </td>
      <td className={css.breaking}>
        {shown.slice(0, 3).map(({ namespace, value }) => (
          <div key={namespace + value}>
            <span className="muted">{namespace}</span> {value}
          </div>
        ))}
        {profile.identifiers.length > 3 && <span className="small muted">{t("person.and_more", { n: format.number(profile.identifiers.length - Math.min(3, shown.length)) })}</span>}
      </td>
      <td>
        {profile.segments.slice(0, SEGMENTS_SHOWN).map(({ key }) => (
          <div key={key}>
            <SegmentName segment={key} />
          </div>
        ))}
        {profile.segments.length > SEGMENTS_SHOWN && <span className="small muted">{t("person.and_more", { n: format.number(profile.segments.length - SEGMENTS_SHOWN) })}</span>}
        {profile.segments.length === 0 && <span className="muted">–</span>}
      </td>
      <td className="num">{format.number(profile.events)}</td>
      <td className="nowrap">{profile.last_seen ? <Instant at={profile.last_seen} as="ago" /> : "–"}</td>
    </tr>
  );
}

/** What can be asked. */
function Hints() {
  const { t } = useI18n();
  return (
    <span className={css.hints}>
      <span>{t("person.hint_identifier")}</span>
      <span>
        <code>ana@example.org</code> <code>+33 6 12 34 56 78</code> <code>loyalty_card:2900417733</code> <code>city:Lille</code>
      </span>
      <span>{t("person.hint_key")}</span>
    </span>
  );
}
