import type { Definition } from "../../api/fragment";

/** One field of the map: what the tool calls it, and where its value comes from. */
export interface Mapped {
  field: string;
  from: string;
}

/** An activation in the making. */
export interface Draft {
  key: string;
  segment: string;
  destination: string;
  purpose: string;
  channel: string;
  initial: "skip" | "send";
  map: Mapped[];
}

/** One with nothing chosen. */
export const EMPTY: Draft = { key: "", segment: "", destination: "", purpose: "", channel: "", initial: "skip", map: [] };

/** As it would stand in `workspace.yaml`; rows of the map that are not finished are left out. */
export function definitionOf({ segment, destination, purpose, channel, initial, map }: Draft): Definition {
  const finished = map.filter(({ field, from }) => field && from);
  return {
    segment,
    destination,
    purpose,
    channel,
    ...(initial === "send" ? { initial } : {}),
    ...(finished.length > 0 ? { map: Object.fromEntries(finished.map(({ field, from }) => [field, from])) } : {}),
  };
}

/** The draft of a definition in force. */
export function draftOf(key: string, definition: Record<string, unknown>): Draft {
  const text = (name: string) => (typeof definition[name] === "string" ? definition[name] : "");
  const map = (definition.map ?? {}) as Record<string, string>;
  return {
    key,
    segment: text("segment"),
    destination: text("destination"),
    purpose: text("purpose"),
    channel: text("channel"),
    initial: definition.initial === "send" ? "send" : "skip",
    map: Object.entries(map).map(([field, from]) => ({ field, from })),
  };
}

/** Whether enough is chosen to ask the server about it. */
export const isWhole = ({ segment, destination, purpose, channel }: Draft): boolean => Boolean(segment && destination && purpose && channel);

/** A name for it, from what it does. */
export const nameOf = ({ segment, destination }: Draft): string => `${segment}_${destination}`.replaceAll(/[^a-z0-9_]/g, "_");

/** Where values may come from, as far as the definitions say; `traits.…` of any name may be written besides. */
export function sources(identifiers: string[], computed: string[]): string[] {
  return [...identifiers.map((key) => `identifiers.${key}`), ...identifiers.map((key) => `sha256.identifiers.${key}`), ...computed.map((key) => `computed.${key}`), ...["first_name", "last_name", "city", "country", "language"].map((key) => `traits.${key}`)];
}

/** A map to begin with: the fields that a tool reads under the name of an identifier that there is. */
export function suggested(fields: string[], identifiers: string[]): Mapped[] {
  return fields.filter((field) => identifiers.includes(field)).map((field) => ({ field, from: `identifiers.${field}` }));
}
