import { useQuery } from "@tanstack/react-query";
import { api, unwrap, type Schemas } from "../../api/client";
import type { Language } from "../../i18n";

/** A declared connector, as the server lists it. */
export type Connector = Schemas["Connector"];

/** Connectors change with the binary or its folder. */
const STALE_MS = 600_000;
/** Kinds in the order in which one looks for them. */
export const KINDS = ["email", "messaging", "crm", "ads", "conversions", "onsite", "service", "analytics", "plumbing"] as const;
/** A kind of tool. */
export type Kind = (typeof KINDS)[number];
const STRENGTHS = ["real_server", "outside_suite", "vendor_library", "documentation", "peer_code", "unchecked"] as const;

/** What a destination is given, by name. */
export interface Setting {
  type?: "string" | "integer" | "boolean" | "url" | "template" | "fields";
  required?: boolean;
  default?: unknown;
  secret?: boolean;
  test?: string | null;
  one_of?: string[];
  label: { fr: string; en: string };
  example?: string | null;
}

/** The catalogue. */
export const useConnectors = () => useQuery({ queryKey: ["connectors", "list"], queryFn: ({ signal }) => unwrap(api.GET("/v1/connectors", { signal })), staleTime: STALE_MS });

/** One connector, with its README. */
export const useConnector = (key: string) =>
  useQuery({ queryKey: ["connectors", "one", key], queryFn: ({ signal }) => unwrap(api.GET("/v1/connectors/{key}", { params: { path: { key } }, signal })), staleTime: STALE_MS });

/** The settings of a connector, required ones first. */
export function settingsOf(connector: Pick<Connector, "settings">): [string, Setting][] {
  const all = Object.entries(connector.settings as Record<string, Setting>);
  return all.sort(([, a], [, b]) => Number(b.required ?? false) - Number(a.required ?? false));
}

/** The strongest way in which a connector was checked. */
export function strongest(connector: Pick<Connector, "checked">): (typeof STRENGTHS)[number] {
  return STRENGTHS.find((by) => connector.checked.some((one) => one.by === by)) ?? "unchecked";
}

/** Whether a connector answers to words: its key, its name, what it does. Accents and case do not matter. */
export function answersTo(connector: Pick<Connector, "key" | "name" | "about">, words: string, language: Language): boolean {
  const plain = (text: string) =>
    text
      .normalize("NFD")
      .replaceAll(/\p{M}/gu, "")
      .toLowerCase();
  const all = plain(`${connector.key} ${connector.name} ${connector.about[language] ?? ""}`);
  return plain(words)
    .split(/\s+/)
    .every((word) => all.includes(word));
}

/** An icon as an address: shown by the browser as a picture, in which no script runs. */
export const iconOf = (svg: string): string => `data:image/svg+xml;charset=utf-8,${encodeURIComponent(svg)}`;
