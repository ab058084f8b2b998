import { TextInput } from "@mantine/core";
import { IconSearch } from "@tabler/icons-react";
import { useQuery } from "@tanstack/react-query";
import { Link } from "wouter";
import { api, unwrap, type Schemas } from "../../api/client";
import { useCursor, useParameter } from "../../api/paging";
import { Sparkline } from "../../charts/Sparkline";
import { PageTitle } from "../../components/PageTitle";
import { Pager } from "../../components/Pager";
import { Empty, Loaded } from "../../components/states";
import { useFormat } from "../../format";
import { useI18n } from "../../i18n";
import { change, matches } from "./days";
import css from "./Segments.module.css";

/** How often counts are asked for again. */
const EVERY_MS = 10_000;
/** Segments of one page: definitions, which a team writes by hand. The filter looks through a page. */
const SEGMENTS_PAGE = 200;

/** All segments, with how many people are in each and who they are in a sentence. */
export default function Segments() {
  const { t } = useI18n();
  const [words, setWords] = useParameter("q");
  const paging = useCursor();
  const segments = useQuery({
    queryKey: ["segments", "list", paging.cursor],
    queryFn: ({ signal }) => unwrap(api.GET("/v1/segments", { params: { query: { limit: SEGMENTS_PAGE, cursor: paging.cursor } } as object, signal })),
    refetchInterval: EVERY_MS,
  });
  return (
    <>
      <PageTitle title={t("segments.title")}>
        <TextInput
          size="xs"
          type="search"
          className={css.find}
          aria-label={t("segments.find")}
          placeholder={t("segments.find_hint")}
          value={words}
          onChange={(event) => setWords(event.currentTarget.value)}
          leftSection={<IconSearch size={15} stroke={1.7} aria-hidden />}
        />
      </PageTitle>
      <Loaded query={segments}>
        {({ items, next }) => {
          const found = items.filter((segment) => matches(segment, words.trim()));
          if (items.length === 0) return <Empty title={t("segments.empty")} hint={t("segments.empty_hint")} />;
          if (found.length === 0) return <Empty title={t("segments.none_found", { query: words })} />;
          return (
            <section className="panel" aria-label={t("segments.title")}>
              <table className={`rows ${css.list}`}>
                <thead>
                  <tr>
                    <th scope="col">{t("segments.segment")}</th>
                    <th scope="col">{t("segments.rule")}</th>
                    <th scope="col" className="num">
                      {t("segments.people")}
                    </th>
                    <th scope="col">{t("segments.trend")}</th>
                  </tr>
                </thead>
                <tbody>
                  {found.map((segment) => (
                    <Row key={segment.key} segment={segment} />
                  ))}
                </tbody>
              </table>
              <Pager paging={paging} next={next} />
            </section>
          );
        }}
      </Loaded>
    </>
  );
}

function Row({ segment }: { segment: Schemas["Segment"] }) {
  const { t, language } = useI18n();
  const format = useFormat();
  const { key, label, sentence, count, days, status } = segment;
  return (
    <tr>
      <td className={css.name}>
        <Link href={`/segments/${encodeURIComponent(key)}`}>{label[language] ?? label.en ?? label.fr ?? key}</Link>
        <div className="muted mono">{key}</div>
      </td>
      <td className={css.sentence}>{sentence[language] ?? sentence.en ?? sentence.fr}</td>
      <td className={`num ${css.people}`}>
        {format.number(count)}
        {status === "computing" && <div className="small muted">{t("segments.computing")}</div>}
      </td>
      <td>
        <div className={css.trend}>
          <Sparkline values={days.map((day) => day.count)} />
          <Change days={days} />
        </div>
      </td>
    </tr>
  );
}

/** The change over the days that are recorded, in words. */
export function Change({ days }: { days: Schemas["SegmentDay"][] }) {
  const { t } = useI18n();
  const format = useFormat();
  const changed = change(days);
  if (!changed) return <span className="small muted">{t("segments.no_days")}</span>;
  const gaps = { n: format.number(Math.abs(changed.by)), day: format.calendarDay(changed.since) };
  return <span className="small muted tabular">{changed.by === 0 ? t("segments.change_none", gaps) : t(changed.by > 0 ? "segments.change_up" : "segments.change_down", gaps)}</span>;
}
