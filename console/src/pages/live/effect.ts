import type { CountKey, TextKey } from "../../i18n";
import type { Schemas } from "../../api/client";

/** What one entry of the history did. */
export type Effect = Schemas["Effect"];

/** One thing that an entry did, short enough for a row of the list. */
export interface Mark {
  tone: "person" | "segment" | "granted" | "denied" | "plain";
  text: TextKey | CountKey;
  /** How many, for a text that counts. */
  count?: number;
  segment?: string;
  purpose?: string;
  state?: "granted" | "denied";
  field?: string;
}

/** What an entry did, the most telling first. Empty: it was kept, and changed nothing that shows. */
export function marks(effect: Effect): Mark[] {
  const found: Mark[] = [];
  if (effect.problem) found.push({ tone: "denied", text: "live.not_understood", field: effect.problem.field });
  if (effect.result) {
    const { state } = effect.result;
    found.push({ tone: state === "sent" ? "granted" : "denied", text: `live.result_${state}` });
  }
  if (effect.kind === "erased") found.push({ tone: "denied", text: "live.kind_erased" });
  if (effect.kind === "apply") found.push({ tone: "plain", text: "live.kind_apply" });
  if (effect.joined.length > 0) found.push({ tone: "person", text: "live.joined", count: effect.joined.length });
  if (effect.refused.length > 0) found.push({ tone: "denied", text: "live.join_refused" });
  if (effect.created) found.push({ tone: "person", text: "live.new_person" });
  else if (effect.joined.length === 0 && effect.identifiers.some((identifier) => identifier.new)) found.push({ tone: "person", text: "live.identified" });
  for (const segment of effect.entered) found.push({ tone: "segment", text: "live.entered", segment });
  for (const segment of effect.left) found.push({ tone: "segment", text: "live.exited", segment });
  // A purpose is named once, however many channels were chosen alike.
  const choices = new Map(effect.consents.map((choice) => [`${choice.purpose} ${choice.state}`, choice]));
  for (const { purpose, state } of choices.values()) found.push({ tone: state, text: "live.consent_change", purpose, state });
  if (effect.deliveries.some((delivery) => delivery.state === "queued")) found.push({ tone: "granted", text: "live.queued" });
  if (effect.deliveries.some((delivery) => delivery.state === "blocked")) found.push({ tone: "denied", text: "live.blocked" });
  const traits = Object.keys(effect.traits ?? {}).length;
  if (traits > 0) found.push({ tone: "plain", text: "live.traits", count: traits });
  return found;
}

/** What the list is narrowed to; an empty text lets everything through. */
export interface Filter {
  text: string;
  source: string;
  type: string;
  onlyEffects: boolean;
}

/** Whether an entry passes the filter. */
export function passes(effect: Effect, { text, source, type, onlyEffects }: Filter): boolean {
  if (source && effect.source !== source) return false;
  if (type && typeOf(effect) !== type) return false;
  if (onlyEffects && marks(effect).length === 0) return false;
  const words = text.trim().toLowerCase();
  if (!words) return true;
  const places = [
    nameOf(effect),
    effect.name,
    effect.type,
    effect.label,
    effect.profile,
    effect.source,
    effect.message_id,
    effect.problem?.field,
    ...effect.identifiers.map(({ namespace, value }) => `${namespace}:${value}`),
    ...effect.entered,
    ...effect.left,
  ];
  return places.some((place) => place?.toLowerCase().includes(words));
}

/** What an entry is called in the list of types: the type of its call, else its kind. */
export const typeOf = (effect: Effect): string => (effect.kind === "event" ? (effect.type ?? "event") : effect.kind);

/** What an entry is called: a page or screen by the name that its sender gave it, everything else by its event's name. */
export function nameOf(effect: Effect): string | null {
  if (effect.type !== "page" && effect.type !== "screen") return effect.name;
  const named = typeof effect.body === "object" && effect.body !== null && "name" in effect.body ? effect.body.name : null;
  return typeof named === "string" && named !== "" ? named : effect.name;
}
