import type { Settings } from "./settings.ts";

type Properties = Record<string, unknown>;

/** What an entry of the data layer says to us. */
export type Said = Named | { mode: Properties };
type Named = { event: string; of: Properties; gtag: boolean };

const isObject = (value: unknown): value is Properties => typeof value === "object" && value !== null;

/** Reads one entry: an `arguments` object of `gtag()`, or an object with `event`. */
function understood(entry: unknown): Said | undefined {
  if (!isObject(entry)) return undefined;
  const [command, name, of] = [entry["0"], entry["1"], entry["2"]];
  if (command === "consent") return name === "update" && isObject(of) ? { mode: of } : undefined;
  if (command === "event") return typeof name === "string" ? { event: name, of: isObject(of) ? of : {}, gtag: true } : undefined;
  const { event, ecommerce, ...rest } = entry;
  return typeof event === "string" ? { event, of: isObject(ecommerce) ? ecommerce : rest, gtag: false } : undefined;
}

/** Listens to a data layer, from its first entry on, without changing what others find in it. */
export function listen(name: string, said: (said: Said) => void): void {
  const page = window as unknown as Record<string, unknown>;
  const layer = (page[name] ??= []) as unknown[];
  const hear = (entry: unknown) => {
    try {
      const what = understood(entry);
      if (what) said(what);
    } catch (error) {
      // The page's own call must go through.
      console.warn("jumelle:", error);
    }
  };
  layer.forEach(hear);
  const push = layer.push;
  layer.push = function (...entries: unknown[]) {
    const length = push.apply(layer, entries);
    entries.forEach(hear);
    return length;
  };
}

/** GA4's names in ours. `undefined`: not for us, such as Tag Manager's own events and page views, which the tag sees itself. */
export function translate(said: Named, ga4: Settings["ga4"]): { event: string; properties: Properties } | undefined {
  const event = ga4.events[said.event] ?? (said.gtag && said.event !== "page_view" ? said.event : undefined);
  if (!event) return undefined;
  const rename = (of: Properties): Properties =>
    Object.fromEntries(
      Object.entries(of).flatMap(([key, value]) => {
        if (key.startsWith("gtm.")) return [];
        const name = ga4.properties[key] ?? key;
        if (key === "items" && Array.isArray(value)) return [[name, value.filter(isObject).map(rename)]];
        const isAmount = name === "quantity" || ga4.amounts.includes(name);
        // Shops write amounts as texts; the server takes numbers alone.
        return [[name, isAmount && typeof value === "string" && /^-?\d+(\.\d+)?$/.test(value) ? Number(value) : value]];
      }),
    );
  const properties = rename(said.of);
  const products = properties["products"];
  const first: unknown = Array.isArray(products) && ga4.one_product.includes(event) ? products[0] : {};
  return { event, properties: { ...(first as Properties), ...properties } };
}
