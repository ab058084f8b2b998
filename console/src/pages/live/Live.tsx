import { Button, NativeSelect, Switch, TextInput, Tooltip } from "@mantine/core";
import { IconPlayerPause, IconPlayerPlay } from "@tabler/icons-react";
import { memo, useDeferredValue, useEffect, useMemo, useRef, useState } from "react";
import { Link } from "wouter";
import { useOpened, useParameter, useWithout } from "../../api/paging";
import { useSourceKinds } from "../../api/definitions";
import { EyeBadge } from "../../components/EyeBadge";
import { Instant } from "../../components/Instant";
import { PageTitle } from "../../components/PageTitle";
import { Empty, Loading } from "../../components/states";
import shared from "../../components/components.module.css";
import { useFormat } from "../../format";
import { useI18n } from "../../i18n";
import { isTyping } from "../../shell/keys";
import { identity, ROWS_MAX } from "./buffer";
import { marks, nameOf, passes, typeOf, type Effect } from "./effect";
import { Marks, typeName } from "./Marks";
import { Opened } from "./Opened";
import { useStream, type Stream } from "./stream";
import css from "./Live.module.css";

/** Rows drawn at first, and added by "older": what is kept is more than what one looks at. */
const ROWS_DRAWN = 100;
const TYPES = ["track", "identify", "page", "screen", "group", "alias", "consent", "quarantined", "result", "timer", "erased", "apply"];

/** Events as they arrive, and what each of them did. */
export default function Live() {
  const { t } = useI18n();
  const stream = useStream();
  const [text, setText] = useParameter("q");
  const [source, setSource] = useParameter("source");
  const [type, setType] = useParameter("type");
  const [effects, setEffects] = useParameter("effects");
  const opened = useOpened("event");
  const [drawn, setDrawn] = useState(ROWS_DRAWN);
  const sources = useSourceKinds();
  const filter = useDeferredValue(useMemo(() => ({ text, source, type, onlyEffects: effects === "1" }), [text, source, type, effects]));
  const matching = useMemo(() => stream.rows.filter((effect) => passes(effect, filter)), [stream.rows, filter]);
  const list = useRef<HTMLTableSectionElement>(null);
  useKeys(list, stream);

  const position = opened.id;
  const isFiltered = Boolean(text || source || type || effects);
  const clear = useWithout("q", "source", "type", "effects");
  const close = () => {
    opened.open(null);
    list.current?.querySelector<HTMLElement>(`[data-event="${position}"]`)?.focus({ preventScroll: true });
  };
  return (
    <>
      <PageTitle title={t("live.title")}>
        <Status stream={stream} />
        <Button
          size="xs"
          variant={stream.paused ? "filled" : "default"}
          aria-keyshortcuts="p"
          onClick={() => stream.pause(!stream.paused)}
          leftSection={stream.paused ? <IconPlayerPlay size={14} aria-hidden /> : <IconPlayerPause size={14} aria-hidden />}
        >
          {stream.paused ? t("live.resume") : t("live.pause")}
        </Button>
      </PageTitle>
      <div className={css.filters} role="search">
        <TextInput size="xs" type="search" aria-label={t("live.filter_text")} placeholder={t("live.filter_text_hint")} value={text} onChange={(event) => setText(event.currentTarget.value)} />
        <NativeSelect
          size="xs"
          aria-label={t("live.filter_source")}
          value={source}
          onChange={(event) => setSource(event.currentTarget.value)}
          data={[{ value: "", label: t("live.source_all") }, ...[...sources.keys()].map((key) => ({ value: key, label: key }))]}
        />
        <NativeSelect
          size="xs"
          aria-label={t("live.filter_type")}
          value={type}
          onChange={(event) => setType(event.currentTarget.value)}
          data={[{ value: "", label: t("live.type_all") }, ...TYPES.map((value) => ({ value, label: typeName(t, value) }))]}
        />
        <Tooltip label={t("live.only_effects_hint")}>
          <Switch size="xs" label={t("live.only_effects")} checked={effects === "1"} onChange={(event) => setEffects(event.currentTarget.checked ? "1" : "")} />
        </Tooltip>
      </div>
      <div className={position ? shared.withPanel : ""}>
        <section className="panel" aria-label={t("live.list")}>
          {matching.length > 0 ? (
            <>
              <table className={`rows ${css.table} ${position ? css.narrow : ""}`}>
                <thead>
                  <tr>
                    <th scope="col">{t("live.time")}</th>
                    <th scope="col">{t("live.filter_source")}</th>
                    <th scope="col">{t("live.what")}</th>
                    <th scope="col">{t("live.who")}</th>
                    <th scope="col">{t("live.did")}</th>
                  </tr>
                </thead>
                <tbody ref={list}>
                  {matching.slice(0, drawn).map((effect) => (
                    <Row key={identity(effect)} effect={effect} open={position === String(effect.position)} link={opened.link(String(effect.position))} />
                  ))}
                </tbody>
              </table>
              <Foot matching={matching.length} drawn={drawn} more={() => setDrawn(drawn + ROWS_DRAWN)} />
            </>
          ) : stream.rows.length > 0 ? (
            <Empty title={t("live.no_match")} hint={t("live.no_match_hint", { n: ROWS_MAX })}>
              {isFiltered && (
                <Button size="xs" variant="default" onClick={clear}>
                  {t("live.clear_filter")}
                </Button>
              )}
            </Empty>
          ) : stream.state === "connecting" ? (
            <Loading />
          ) : (
            <Empty title={t("live.empty")} hint={t("live.empty_hint")} />
          )}
        </section>
        {position && <Opened key={position} position={position} rows={stream.rows} close={close} />}
      </div>
    </>
  );
}

function Foot({ matching, drawn, more }: { matching: number; drawn: number; more: () => void }) {
  const { t } = useI18n();
  const format = useFormat();
  return (
    <div className={css.foot}>
      <span>{t("live.shown", { n: format.number(Math.min(matching, drawn)), max: format.number(matching) })}</span>
      <span className={css.keys}>{t("live.keys")}</span>
      {matching > drawn && (
        <Button size="xs" variant="default" onClick={more}>
          {t("live.older")}
        </Button>
      )}
    </div>
  );
}

function Status({ stream }: { stream: Stream }) {
  const { t, tn } = useI18n();
  const format = useFormat();
  const words = stream.paused ? tn("live.paused", stream.waiting) : t(stream.state === "open" ? "live.connected" : stream.state === "lost" ? "live.lost" : "live.connecting");
  return (
    <span className={css.status}>
      {stream.skipped > 0 && <span className="muted">{tn("live.skipped", stream.skipped)}</span>}
      <span className="tabular muted">{t("live.rate", { n: format.number(stream.rate) })}</span>
      <span className={css.lamp} data-state={stream.paused ? "paused" : stream.state} aria-hidden="true" />
      {/* A reader is told that the connection went, not each number. */}
      <span role={stream.paused ? undefined : "status"} className="tabular">
        {words}
      </span>
    </span>
  );
}

const Row = memo(function Row({ effect, open, link }: { effect: Effect; open: boolean; link: string }) {
  const { t } = useI18n();
  return (
    <tr className={open ? css.open : ""} data-kind={effect.kind}>
      <td className="nowrap">
        <Instant at={effect.received} as="time" />
      </td>
      <td className="nowrap">{effect.source && <EyeBadge source={effect.source} />}</td>
      <td className={css.what}>
        <Link href={link} aria-current={open ? "true" : undefined} data-event={effect.position}>
          {nameOf(effect) ?? typeName(t, typeOf(effect))}
        </Link>
        {effect.name && <span className="muted small"> {typeName(t, typeOf(effect))}</span>}
      </td>
      <td className={css.who}>{effect.label ?? (effect.profile ? <span className="muted">{t("live.anonymous")}</span> : <span className="muted">–</span>)}</td>
      <td>
        <Marks found={marks(effect)} />
      </td>
    </tr>
  );
});

/** j, k and the arrows move between rows, p pauses. Enter is the link's own. */
function useKeys(list: React.RefObject<HTMLTableSectionElement | null>, stream: Stream) {
  const now = useRef(stream);
  now.current = stream;
  useEffect(() => {
    const onKey = (event: KeyboardEvent) => {
      if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented || isTyping(event.target)) return;
      if (event.key === "p") return now.current.pause(!now.current.paused);
      const step = event.key === "j" || event.key === "ArrowDown" ? 1 : event.key === "k" || event.key === "ArrowUp" ? -1 : 0;
      if (step === 0) return;
      const links = [...(list.current?.querySelectorAll<HTMLElement>("[data-event]") ?? [])];
      const at = links.findIndex((link) => link === document.activeElement);
      // The arrows scroll the page until somebody is in the list.
      if (at < 0 && event.key.startsWith("Arrow")) return;
      event.preventDefault();
      const to = links[Math.min(Math.max(at + step, 0), links.length - 1)];
      to?.focus({ preventScroll: true });
      to?.scrollIntoView({ block: "nearest" });
    };
    window.addEventListener("keydown", onKey);
    return () => window.removeEventListener("keydown", onKey);
  }, [list]);
}
