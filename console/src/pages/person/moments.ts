import type { Schemas } from "../../api/client";
import type { Eye } from "../../api/definitions";

type StoredEvent = Schemas["StoredEvent"];
type Transition = Schemas["ProfileSegments"]["history"][number];

/** Something on a person's time line. */
export type Moment =
  | { kind: "event"; at: string; id: string; eye: Eye; event: StoredEvent }
  | { kind: "segment"; at: string; id: string; segment: string; entered: boolean }
  | { kind: "delivery"; at: string; id: string; delivery: Schemas["Delivery"] };

/** Lays events, entries and exits, and deliveries on one time line, the newest first.
 *
 *  Events come page by page in the order of their arrival. While older ones are not loaded (`complete` is false), what happened
 *  before the oldest loaded one arrived stays away: among events that are missing it would tell a wrong story. */
export function moments(events: StoredEvent[], transitions: Transition[], deliveries: Schemas["Delivery"][], eyeOf: (source: string) => Eye, complete: boolean): Moment[] {
  const since = complete ? -Infinity : Date.parse(events.at(-1)?.receivedAt ?? "");
  const within = (at: string) => complete || Date.parse(at) >= since;
  const line: Moment[] = [
    ...deliveries.filter(({ at }) => within(at)).map((delivery) => ({ kind: "delivery" as const, at: delivery.at, id: delivery.id, delivery })),
    ...transitions
      .filter(({ at }) => within(at))
      .map(({ at, segment, type }) => ({ kind: "segment" as const, at, id: `${at} ${segment} ${type}`, segment, entered: type === "segment.entered" })),
    ...events.map((event) => ({ kind: "event" as const, at: event.timestamp, id: String(event.position), eye: eyeOf(event.source), event })),
  ];
  // At the same instant the cause stands below its effect, as above: deliveries, segments, events.
  return line.map((moment) => ({ moment, ms: Date.parse(moment.at) })).sort((one, other) => other.ms - one.ms).map(({ moment }) => moment);
}

/** What a line about an event says besides its name. */
export interface EventGist {
  /** A sum of money as the event carries it, in whole units of its currency. */
  amount: { value: number; currency: string } | null;
  /** Product names, else a few properties as `[name, value]`. */
  products: string[];
  properties: [string, string][];
}

const AMOUNTS = ["total", "revenue", "value", "price"];
/** Properties that say nothing to a reader in one line: the whole event shows them. */
const SILENT = new Set(["currency", "product_id", "order_id", "name", "products", "url", "title", "quantity", "sku", "checkout_id", "cart_id", ...AMOUNTS]);
/** Properties on one line at most. */
const PROPERTIES_MAX = 3;

/** The gist of an event's properties in a line. */
export function gist({ properties = {}, traits }: Pick<StoredEvent, "properties" | "traits">): EventGist {
  const currency = typeof properties.currency === "string" && /^[A-Z]{3}$/.test(properties.currency) ? properties.currency : null;
  const value = AMOUNTS.map((name) => properties[name]).find((found) => typeof found === "number");
  const named = (product: unknown) => (typeof product === "object" && product && "name" in product && typeof product.name === "string" ? [product.name] : []);
  const products = Array.isArray(properties.products) ? properties.products.flatMap(named) : named(properties);
  const shown = Object.entries(properties).length > 0 ? properties : (traits ?? {});
  return {
    amount: currency && typeof value === "number" ? { value, currency } : null,
    products,
    properties: Object.entries(shown)
      .filter(([name, part]) => !SILENT.has(name) && (typeof part === "string" || typeof part === "number" || typeof part === "boolean") && part !== "")
      .slice(0, PROPERTIES_MAX)
      .map(([name, part]) => [name, String(part)]),
  };
}
