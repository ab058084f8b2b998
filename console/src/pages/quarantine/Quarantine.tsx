import { useQuery } from "@tanstack/react-query";
import { useEffect, useRef } from "react";
import { Link } from "wouter";
import { api, ApiError, unwrap, type Schemas } from "../../api/client";
import { useOverview } from "../../api/overview";
import { PAGE_ROWS, useCursor, useOpened } from "../../api/paging";
import { EyeBadge } from "../../components/EyeBadge";
import { Instant } from "../../components/Instant";
import { Pager } from "../../components/Pager";
import { PageTitle } from "../../components/PageTitle";
import { SidePanel } from "../../components/SidePanel";
import { Empty, Loaded } from "../../components/states";
import shared from "../../components/components.module.css";
import { useFormat } from "../../format";
import { useI18n } from "../../i18n";
import { Mend } from "./Mend";
import { ruleTexts } from "./rule";
import css from "./Quarantine.module.css";

/** An event that was not understood. */
export type Quarantined = Schemas["Quarantined"];

/** The server counts so many and no further. */
const COUNT_MAX = 10_000;

/** What was not understood: why, and the way to mend it. */
export default function Quarantine() {
  const { t } = useI18n();
  const paging = useCursor();
  const opened = useOpened("item");
  const list = useQuery({
    queryKey: ["quarantine", paging.cursor ?? ""],
    queryFn: ({ signal }) => unwrap(api.GET("/v1/quarantine", { params: { query: { limit: String(PAGE_ROWS), cursor: paging.cursor } }, signal })),
    refetchInterval: 10_000,
  });
  // An item that was just mended leaves the list; what became of it is still to be said.
  const kept = useRef<Quarantined | undefined>(undefined);
  kept.current = list.data?.items.find((item) => item.id === opened.id) ?? (kept.current?.id === opened.id ? kept.current : undefined);
  const here = kept.current;
  const one = useQuery({
    queryKey: ["quarantined", opened.id],
    queryFn: ({ signal }) => unwrap(api.GET("/v1/quarantine/{id}", { params: { path: { id: opened.id ?? "" } }, signal })),
    enabled: opened.id !== null && !here,
  });
  const gone = one.error instanceof ApiError && one.error.status === 404;
  const rows = useRef<HTMLTableSectionElement>(null);
  const close = () => {
    const from = opened.id;
    opened.open(null);
    rows.current?.querySelector<HTMLElement>(`[data-item="${from}"]`)?.focus({ preventScroll: true });
  };
  return (
    <>
      <PageTitle title={t("quarantine.title")}>
        <Total />
      </PageTitle>
      <p className={`muted ${css.intro}`}>{t("quarantine.intro")}</p>
      <div className={opened.id ? shared.withPanel : ""}>
        <section className="panel" aria-label={t("quarantine.list")}>
          <Loaded query={list}>
            {({ items, next }) =>
              items.length === 0 && !paging.cursor ? (
                <Empty title={t("quarantine.empty")} hint={t("quarantine.empty_hint")} />
              ) : (
                <>
                  <table className={`rows ${css.table} ${opened.id ? css.narrow : ""}`}>
                    <thead>
                      <tr>
                        <th scope="col">{t("quarantine.reason")}</th>
                        <th scope="col">{t("quarantine.field")}</th>
                        <th scope="col">{t("quarantine.source")}</th>
                        <th scope="col">{t("quarantine.when")}</th>
                      </tr>
                    </thead>
                    <tbody ref={rows}>
                      {items.map((item) => (
                        <Row key={item.id} item={item} open={item.id === opened.id} link={opened.link(item.id)} />
                      ))}
                    </tbody>
                  </table>
                  <Pager paging={paging} next={next} />
                </>
              )
            }
          </Loaded>
        </section>
        {opened.id && (
          <SidePanel title={t("quarantine.detail")} close={close}>
            {gone && !here ? (
              <Empty title={t("quarantine.gone")} hint={t("quarantine.gone_hint")} />
            ) : (
              <Loaded query={here ? { ...one, data: here } : one}>{(item) => <Mend key={item.id} item={item} done={() => opened.open(null)} />}</Loaded>
            )}
          </SidePanel>
        )}
      </div>
    </>
  );
}

function Total() {
  const { t } = useI18n();
  const format = useFormat();
  const total = useOverview().data?.quarantine ?? 0;
  if (total === 0) return null;
  const key = total >= COUNT_MAX ? "quarantine.in_all_capped" : "quarantine.in_all";
  return <span className="muted tabular">{t(key, { n: format.number(total) })}</span>;
}

function Row({ item, open, link }: { item: Quarantined; open: boolean; link: string }) {
  const { t } = useI18n();
  const field = item.field || t("quarantine.whole");
  const row = useRef<HTMLTableRowElement>(null);
  useEffect(() => {
    // A link from a colleague opens an item that may stand far down.
    if (open) row.current?.scrollIntoView({ block: "nearest" });
  }, [open]);
  return (
    <tr ref={row} className={open ? css.open : ""}>
      <td>
        <Link href={link} data-item={item.id} aria-current={open ? "true" : undefined} className={css.reason}>
          {t(ruleTexts(item.rule).why, { field, rule: item.rule })}
        </Link>
        <div className={`muted small ${css.message}`}>{item.message}</div>
      </td>
      <td className={`mono ${css.field}`}>{field}</td>
      <td>
        <EyeBadge source={item.source} />
      </td>
      <td className="nowrap">
        <Instant at={item.at} as="ago" />
      </td>
    </tr>
  );
}
