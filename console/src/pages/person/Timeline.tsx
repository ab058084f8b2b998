import { Button } from "@mantine/core";
import { useEffect } from "react";
import { useSearchParams } from "wouter";
import type { Schemas } from "../../api/client";
import { eyeOf, useSourceKinds } from "../../api/definitions";
import { useOpened } from "../../api/paging";
import { ConsentSign, useChannelName } from "../../components/ConsentState";
import { CopyButton } from "../../components/CopyButton";
import { useDeliveryKind } from "../../components/DeliveryReason";
import { DeliveryState } from "../../components/DeliveryState";
import { EyeBadge, EyeSign } from "../../components/EyeBadge";
import { useGateWords } from "../../components/GateReason";
import { Instant } from "../../components/Instant";
import { JsonView } from "../../components/JsonView";
import { Panel } from "../../components/PageTitle";
import { SegmentName } from "../../components/SegmentName";
import { Sheet } from "../../components/Sheet";
import { Failure, Loading } from "../../components/states";
import { useFormat } from "../../format";
import { useI18n } from "../../i18n";
import { gist, moments, type Moment } from "./moments";
import css from "./Person.module.css";
import { STEPS_MAX, useDeliveries, useEvents, useTransitions } from "./queries";

type StoredEvent = Schemas["StoredEvent"];

/** The two eyes side by side on one time line: photographs at the left, film at the right, what followed from them in the middle. */
export function Timeline({ id }: { id: string }) {
  const { t, tn } = useI18n();
  const format = useFormat();
  const kinds = useSourceKinds();
  const events = useEvents(id);
  const transitions = useTransitions(id);
  const deliveries = useDeliveries(id);
  const eventName = useEventName();
  const opened = useOpened("event");
  const [parameters, setParameters] = useSearchParams();

  // How far back the time line reaches is in the address, so that a colleague sees the same.
  const wanted = Math.min(Math.max(Number(parameters.get("steps")) || 1, 1), STEPS_MAX);
  const steps = events.data?.pages.length ?? 0;
  const { hasNextPage, isFetching, fetchNextPage } = events;
  useEffect(() => {
    if (steps > 0 && steps < wanted && hasNextPage && !isFetching) void fetchNextPage();
  }, [steps, wanted, hasNextPage, isFetching, fetchNextPage]);

  if (events.data === undefined) {
    return <Panel title={t("person.timeline")}>{events.error ? <Failure error={events.error} retry={() => void events.refetch()} /> : <Loading />}</Panel>;
  }
  const loaded = events.data.pages.flatMap(({ items }) => items);
  const line = moments(loaded, transitions.data?.history ?? [], deliveries.data?.items ?? [], (source) => eyeOf(kinds.get(source) ?? "server"), !hasNextPage);
  const days = byDay(line, format.date);
  const shown = loaded.find(({ position }) => String(position) === opened.id);
  return (
    <Panel title={t("person.timeline")} aside={<span className="small muted">{tn("person.events_shown", loaded.length)}</span>}>
      <div className={css.lanes}>
        <span className={css.photographHead}>
          <EyeSign eye="photograph" /> {t("person.photographs")}
        </span>
        <span />
        <span className={css.filmHead}>
          <EyeSign eye="film" /> {t("person.film")}
        </span>
      </div>
      {line.length === 0 && <p className={css.nothing}>{t("person.no_events")}</p>}
      {days.map(({ day, line: ofDay }) => (
        <section key={day} aria-label={day}>
          <h3 className={css.day}>
            <span>{day}</span>
          </h3>
          <ol className={css.line_of_time}>
            {ofDay.map((moment) => (
              <li key={moment.kind + moment.id} className={css[laneOf(moment)]}>
                {moment.kind === "event" && (
                  <span className={css.at}>
                    <Instant at={moment.at} as="minute" />
                  </span>
                )}
                <div className={css.cell}>
                  <MomentLine moment={moment} open={opened.open} />
                </div>
              </li>
            ))}
          </ol>
        </section>
      ))}
      {hasNextPage && (
        <div className={css.older}>
          {steps < STEPS_MAX ? (
            <Button
              size="xs"
              variant="default"
              loading={events.isFetchingNextPage}
              onClick={() =>
                setParameters((before) => {
                  const after = new URLSearchParams(before);
                  after.set("steps", String(steps + 1));
                  return after;
                }, { replace: true })
              }
            >
              {t("person.older")}
            </Button>
          ) : (
            <span className="small muted">{t("person.oldest_shown", { n: format.number(loaded.length) })}</span>
          )}
        </div>
      )}
      <Sheet opened={shown !== undefined} close={() => opened.open(null)} title={shown ? eventName(shown) : ""}>
        {shown && <EventDetail event={shown} />}
      </Sheet>
    </Panel>
  );
}

function byDay(line: Moment[], dayOf: (at: string) => string): { day: string; line: Moment[] }[] {
  const days: { day: string; line: Moment[] }[] = [];
  for (const moment of line) {
    const day = dayOf(moment.at);
    const last = days.at(-1);
    if (last?.day === day) last.line.push(moment);
    else days.push({ day, line: [moment] });
  }
  return days;
}

const laneOf = (moment: Moment) => (moment.kind === "event" ? moment.eye : "between");

function MomentLine({ moment, open }: { moment: Moment; open: (id: string) => void }) {
  const { t } = useI18n();
  const kind = useDeliveryKind();
  const gate = useGateWords();
  const why = (delivery: Schemas["Delivery"]) => (delivery.state === "blocked" ? gate(delivery).why : delivery.reason);
  switch (moment.kind) {
    case "event":
      return <EventLine event={moment.event} open={() => open(moment.id)} />;
    case "segment":
      return (
        <div className={css.moved}>
          <Instant at={moment.at} as="minute" className="muted" />
          <svg width="12" height="12" viewBox="0 0 12 12" aria-hidden="true">
            <path d={moment.entered ? "M1 6h8M6 3l3 3-3 3M11 1v10" : "M11 6H3m3-3L3 6l3 3M1 1v10"} />
          </svg>
          {t(moment.entered ? "person.entered" : "person.left")} <SegmentName segment={moment.segment} />
        </div>
      );
    case "delivery":
      return (
        <div className={css.moved}>
          <Instant at={moment.at} as="minute" className="muted" />
          <DeliveryState state={moment.delivery.state} />
          <span className="clip" title={[moment.delivery.activation, kind(moment.delivery.type), why(moment.delivery)].filter(Boolean).join(" · ")}>
            {moment.delivery.activation} <span className="muted">{why(moment.delivery) ?? kind(moment.delivery.type)}</span>
          </span>
        </div>
      );
  }
}

/** What an event is called: what was done, or which page or screen was seen. */
function useEventName(): (event: StoredEvent) => string {
  const { t } = useI18n();
  return ({ type, event, name: given, properties }) => {
    const name = event ?? given ?? (typeof properties?.path === "string" ? properties.path : "");
    switch (type) {
      case "track":
        return name || type;
      case "page":
        return t("person.page", { name });
      case "screen":
        return t("person.screen", { name });
      case "identify":
        return t("person.identify");
      default:
        return name ? `${type} ${name}` : type;
    }
  };
}

interface Choice {
  purpose?: unknown;
  channel?: unknown;
  state?: unknown;
}

/** The choices that an event carries. */
function choicesOf(event: StoredEvent): { purpose: string; channel: string | null; state: "granted" | "denied" }[] {
  const list = event.context?.consents;
  if (!Array.isArray(list)) return [];
  return (list as Choice[]).flatMap(({ purpose, channel, state }) =>
    typeof purpose === "string" && (state === "granted" || state === "denied") ? [{ purpose, channel: typeof channel === "string" ? channel : null, state }] : [],
  );
}

function EventLine({ event, open }: { event: StoredEvent; open: () => void }) {
  const { tag, t } = useI18n();
  const channelName = useChannelName();
  const eventName = useEventName();
  const { amount, products, properties } = gist(event);
  const money = amount && new Intl.NumberFormat(tag, { style: "currency", currency: amount.currency }).format(amount.value);
  const words = [...(money ? [money] : []), ...(products.length > 0 ? [products.join(", ")] : []), ...properties.map(([name, value]) => `${name} ${value}`)].join(" · ");
  return (
    <button type="button" className={css.event} onClick={open}>
      <span className={css.eventHead}>
        <b>{eventName(event)}</b>
        <span className={css.from}>{event.source}</span>
      </span>
      {words && <span>{words}</span>}
      {choicesOf(event).map((choice, n) => (
        <span key={n} className={css.choiceLine}>
          <ConsentSign state={choice.state} size={13} /> {t(`consent.${choice.state}`)} · {choice.purpose}, {channelName(choice.channel)}
        </span>
      ))}
    </button>
  );
}

function EventDetail({ event }: { event: StoredEvent }) {
  const { t } = useI18n();
  return (
    <>
      <dl className={css.facts}>
        <dt>{t("person.happened")}</dt>
        <dd>
          <Instant at={event.timestamp} />
        </dd>
        <dt>{t("person.arrived")}</dt>
        <dd>
          <Instant at={event.receivedAt} />
        </dd>
        <dt>{t("person.source")}</dt>
        <dd>
          <EyeBadge source={event.source} />
        </dd>
        <dt>{t("person.message_id")}</dt>
        <dd className={css.machine}>{event.messageId}</dd>
      </dl>
      <div className={css.copyRow}>
        <CopyButton text={JSON.stringify(event, null, 2)} />
        <CopyButton text={location.href} label={t("common.copy_link")} />
      </div>
      <JsonView value={event} label={t("person.event_json")} />
    </>
  );
}
