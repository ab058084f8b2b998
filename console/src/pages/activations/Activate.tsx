import { NativeSelect, TextInput } from "@mantine/core";
import { useDebouncedValue } from "@mantine/hooks";
import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { Link, useSearchParams } from "wouter";
import { api, unwrap } from "../../api/client";
import { Apply } from "../../components/Apply";
import { useChannelName } from "../../components/ConsentState";
import { PageTitle, Panel } from "../../components/PageTitle";
import { Empty, Loading } from "../../components/states";
import { useI18n } from "../../i18n";
import { mayActivate } from "../../shell/access";
import { useSession } from "../../shell/session";
import { useConnectors } from "../connectors/catalogue";
import css from "./Activate.module.css";
import { Audience } from "./Audience";
import { definitionOf, draftOf, EMPTY, isWhole, nameOf, suggested, type Draft } from "./draft";
import { Look } from "./Look";
import { Mapping } from "./Mapping";
import { useDefinitions } from "./queries";

/** How long after the last letter the server is asked. */
const PAUSE_MS = 400;
const CHANNELS = ["email", "sms", "push", "phone", "postal", "onsite", "display", "social", "retargeting", "call_center", "personalization", "partner_sharing"];

/** An activation, new or in force: what goes where, for which purpose, whom it reaches, and what leaves for one person. */
export default function Activate({ activation: key }: { activation: string }) {
  const { t } = useI18n();
  const [parameters] = useSearchParams();
  const activations = useDefinitions("activations");
  if (key === "new") {
    const begun = { ...EMPTY, destination: parameters.get("destination") ?? "", segment: parameters.get("segment") ?? "" };
    return (
      <>
        <PageTitle title={t("activate.new")} />
        <Editor begun={begun} />
      </>
    );
  }
  const definition = activations.data?.get(key);
  return (
    <>
      <PageTitle title={key} />
      {definition ? (
        <Editor begun={draftOf(key, definition)} inForce />
      ) : activations.data ? (
        <Empty title={t("activate.not_found", { key })} hint={t("activate.not_found_hint")}>
          <Link href="/activations/new">{t("activate.new")}</Link>
        </Empty>
      ) : (
        <Loading />
      )}
    </>
  );
}

function Editor({ begun, inForce = false }: { begun: Draft; inForce?: boolean }) {
  const { t, language } = useI18n();
  const { role } = useSession();
  const channelName = useChannelName();
  const [draft, change] = useState(begun);
  const set = (more: Partial<Draft>) => change((before) => ({ ...before, ...more }));
  const segments = useQuery({ queryKey: ["segments", "list"], queryFn: ({ signal }) => unwrap(api.GET("/v1/segments", { signal })) });
  const destinations = useDefinitionsOfDestinations();
  const purposes = useDefinitions("purposes");
  const identifiers = useDefinitions("identifiers");
  const computed = useDefinitions("traits");
  const connectors = useConnectors();
  const connectorOf = (destination: string) => connectors.data?.items.find(({ key }) => key === destinations.get(destination));
  const connector = connectorOf(draft.destination);
  const read = Object.entries((connector?.fields ?? {}) as Record<string, { from?: string | null }>).map(([name, field]) => field.from ?? name);
  const names = [...(identifiers.data?.keys() ?? [])];
  const allowed = (purposes.data?.get(draft.purpose)?.channels as string[] | undefined) ?? [];
  const served = connector?.channels ?? [];
  const channels = CHANNELS.filter((one) => (allowed.length === 0 || allowed.includes(one)) && (served.length === 0 || served.includes(one)));
  const named = { ...draft, key: draft.key || nameOf(draft) };
  const [asked] = useDebouncedValue(named, PAUSE_MS);
  // Nothing mapped by hand yet: what the tool and the workspace call the same is there to begin with.
  const [touched, touch] = useState(inForce);
  const begin = touched || !draft.destination || !connectors.data || !identifiers.data ? draft.map : suggested(read.length > 0 ? read : ["email"], names);
  if (!touched && JSON.stringify(begin) !== JSON.stringify(draft.map)) set({ map: begin });
  return (
    <div className={css.halves}>
      <div className={css.column}>
        <Panel title={t("activate.what")}>
          <div className={css.form}>
            <NativeSelect label={t("activate.segment")} required value={draft.segment} onChange={(event) => set({ segment: event.currentTarget.value })} data={[{ value: "", label: t("activate.choose") }, ...(segments.data?.items ?? []).map(({ key, label }) => ({ value: key, label: label[language] ?? key }))]} />
            <NativeSelect label={t("activate.destination")} required value={draft.destination} onChange={(event) => set({ destination: event.currentTarget.value })} data={[{ value: "", label: t("activate.choose") }, ...destinations.keys()]} />
            {destinations.size === 0 && (
              <p className="small">
                <Link href="/connectors">{t("activate.no_destination")}</Link>
              </p>
            )}
            <NativeSelect label={t("activate.purpose")} required value={draft.purpose} onChange={(event) => set({ purpose: event.currentTarget.value })} data={[{ value: "", label: t("activate.choose") }, ...(purposes.data?.keys() ?? [])]} />
            <NativeSelect label={t("activate.channel")} required value={draft.channel} onChange={(event) => set({ channel: event.currentTarget.value })} data={[{ value: "", label: t("activate.choose") }, ...withOwn(channels, draft.channel).map((value) => ({ value, label: channelName(value) }))]} />
            <NativeSelect label={t("activate.initial")} value={draft.initial} onChange={(event) => set({ initial: event.currentTarget.value === "send" ? "send" : "skip" })} data={[{ value: "skip", label: t("activate.initial_skip") }, { value: "send", label: t("activate.initial_send") }]} />
            {!inForce && <TextInput label={t("activate.key")} description={t("activate.key_hint")} placeholder={isWhole(draft) ? nameOf(draft) : ""} value={draft.key} onChange={(event) => set({ key: event.currentTarget.value.trim() })} />}
          </div>
        </Panel>
        <Mapping map={draft.map} set={(map) => (touch(true), set({ map }))} read={read} needs={connector?.require ?? null} identifiers={names} computed={[...(computed.data?.keys() ?? [])]} />
      </div>
      <div className={css.column}>
        <Audience draft={asked} />
        <Look draft={asked} />
        {isWhole(draft) && (
          <Apply
            collection="activations"
            name={named.key}
            definition={definitionOf(draft)}
            may={mayActivate(role)}
            done={<Link href={`/destinations/${encodeURIComponent(draft.destination)}`}>{t("activate.next")}</Link>}
          />
        )}
      </div>
    </div>
  );
}

/** Destinations and their connectors. Their list has more than their definitions. */
function useDefinitionsOfDestinations(): Map<string, string> {
  const { data } = useQuery({ queryKey: ["destinations", "list"], queryFn: ({ signal }) => unwrap(api.GET("/v1/destinations", { signal })) });
  return new Map((data?.items ?? []).map(({ key, connector }) => [key, connector]));
}

const withOwn = (all: string[], own: string) => (own && !all.includes(own) ? [own, ...all] : all);
