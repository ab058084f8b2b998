import { Button, NativeSelect, TextInput } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { useState, type FormEvent } from "react";
import { useSearchParams } from "wouter";
import { api, unwrap } from "../../api/client";
import { PAGE_ROWS, useCursor, useParameter, useWithout } from "../../api/paging";
import { PageTitle, Panel } from "../../components/PageTitle";
import { Pager } from "../../components/Pager";
import { Empty, Loaded } from "../../components/states";
import { useI18n } from "../../i18n";
import { mayOpen } from "../../shell/access";
import { useSession } from "../../shell/session";
import css from "./Deliveries.module.css";
import { Replay } from "./Replay";
import { Table } from "./Table";

/** How often the first page is asked for again. */
export const EVERY_MS = 5_000;
/** What a delivery may be; `failed` waits for its next try. */
export const STATES = ["queued", "failed", "sent", "blocked", "dead"] as const;
const FILTERS = ["destination", "activation", "profile", "from", "to", "reason"] as const;
type Filter = (typeof FILTERS)[number];

/** Every message, by where it goes, what became of it, when and why; and the way to try again what did not arrive. */
export default function Deliveries() {
  const { t } = useI18n();
  const [parameters] = useSearchParams();
  const [chosen, choose] = useParameter("state");
  const state = STATES.find((one) => one === chosen);
  const paging = useCursor();
  const filters = Object.fromEntries(FILTERS.flatMap((name) => (parameters.get(name) ? [[name, parameters.get(name)]] : []))) as Partial<Record<Filter, string>>;
  const deliveries = useQuery({
    queryKey: ["deliveries", "list", state, filters, paging.cursor],
    queryFn: ({ signal }) =>
      unwrap(api.GET("/v1/deliveries", { params: { query: { ...filters, limit: String(PAGE_ROWS), ...(state ? { state } : {}), ...(paging.cursor ? { cursor: paging.cursor } : {}) } }, signal })),
    refetchInterval: ({ state: { error } }) => (paging.cursor || error ? false : EVERY_MS),
  });
  return (
    <>
      <PageTitle title={t("deliveries.title")} />
      <Panel title={t("deliveries.list")} aside={(state === "dead" || state === "blocked") && <Replay wanted={{ state, ...filters }} />}>
        <div className={css.filters}>
          <div role="group" aria-label={t("deliveries.state")} className={css.states}>
            {[undefined, ...STATES].map((one) => (
              <button key={one ?? ""} type="button" aria-pressed={state === one} onClick={() => choose(one ?? "")}>
                {one ? t(`delivery.${one}`) : t("common.all")}
              </button>
            ))}
          </div>
          {/* Another address is another set of filters: the fields follow it. */}
          <Filters key={JSON.stringify(filters)} filters={filters} />
        </div>
        <Loaded query={deliveries}>
          {({ items, next }) => (
            <>
              {items.length === 0 ? <Empty title={t(next ? "deliveries.none_yet" : "deliveries.none")} hint={t(next ? "deliveries.none_yet_hint" : "deliveries.none_hint")} /> : <Table items={items} destinations />}
              <Pager paging={paging} next={next} label={t("deliveries.list")} />
            </>
          )}
        </Loaded>
      </Panel>
    </>
  );
}

/** An instant as the field for it writes it, in the reader's own zone. */
function local(instant: string | undefined): string {
  const at = instant ? new Date(instant) : null;
  if (!at || Number.isNaN(at.valueOf())) return "";
  const two = (n: number) => String(n).padStart(2, "0");
  return `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())}T${two(at.getHours())}:${two(at.getMinutes())}`;
}

function Filters({ filters }: { filters: Partial<Record<Filter, string>> }) {
  const { t } = useI18n();
  const { role } = useSession();
  const [, setParameters] = useSearchParams();
  const without = useWithout(...FILTERS, "cursor");
  const [missing, miss] = useState<string | null>(null);
  const destinations = useQuery({
    queryKey: ["destinations", "list"],
    queryFn: ({ signal }) => unwrap(api.GET("/v1/destinations", { signal })),
    enabled: mayOpen(role, "/destinations"),
  });
  const keys = destinations.data?.items.map(({ key }) => key) ?? [];
  const activations = destinations.data?.items.filter(({ key }) => !filters.destination || key === filters.destination).flatMap(({ activations: all }) => all) ?? [];
  const apply = async (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    const given = new FormData(event.currentTarget);
    const text = (name: Filter) => String(given.get(name) ?? "").trim();
    const after = Object.fromEntries(FILTERS.map((name) => [name, text(name)])) as Record<Filter, string>;
    for (const name of ["from", "to"] as const) if (after[name]) after[name] = new Date(after[name]).toISOString();
    if (after.profile && !after.profile.startsWith("p_")) {
      // Deliveries are asked for by profile id; whoever may search people need not know it.
      const found = mayOpen(role, "/people") ? await unwrap(api.GET("/v1/profiles", { params: { query: { query: after.profile, limit: "1" } } })).catch(() => null) : null;
      const [person] = found?.items ?? [];
      if (!person) return miss(after.profile);
      after.profile = person.id;
    }
    miss(null);
    setParameters((before) => {
      const next = new URLSearchParams(before);
      next.delete("cursor");
      for (const name of FILTERS) after[name] ? next.set(name, after[name]) : next.delete(name);
      return next;
    });
  };
  return (
    <form className={css.form} onSubmit={(event) => void apply(event)}>
      <NativeSelect size="xs" name="destination" label={t("deliveries.destination")} defaultValue={filters.destination} data={[{ value: "", label: t("deliveries.every_destination") }, ...withOwn(keys, filters.destination)]} />
      <NativeSelect size="xs" name="activation" label={t("deliveries.activation")} defaultValue={filters.activation} data={[{ value: "", label: t("deliveries.every_activation") }, ...withOwn(activations, filters.activation)]} />
      <TextInput size="xs" name="from" type="datetime-local" label={t("deliveries.from")} defaultValue={local(filters.from)} />
      <TextInput size="xs" name="to" type="datetime-local" label={t("deliveries.to")} defaultValue={local(filters.to)} />
      <TextInput size="xs" name="reason" label={t("deliveries.reason")} placeholder={t("deliveries.reason_hint")} defaultValue={filters.reason} />
      <TextInput
        size="xs"
        name="profile"
        label={t("deliveries.person")}
        placeholder={mayOpen(role, "/people") ? t("deliveries.person_hint") : "p_…"}
        defaultValue={filters.profile}
        error={missing && t("deliveries.no_person", { query: missing })}
      />
      <div className={css.answers}>
        {Object.keys(filters).length > 0 && (
          <Button size="xs" variant="subtle" onClick={without}>
            {t("deliveries.clear")}
          </Button>
        )}
        <Button size="xs" type="submit" variant="default">
          {t("deliveries.filter")}
        </Button>
      </div>
    </form>
  );
}

/** A key of the address stays choosable while the list is on its way, or without it. */
const withOwn = (keys: string[], own: string | undefined) => (own && !keys.includes(own) ? [own, ...keys] : keys);
