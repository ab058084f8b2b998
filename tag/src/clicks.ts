// What advertising partners left with the visitor: the id of the click that led here, and their own cookies. Partners ask for it
// when an order is told to them. Kept only where the page names a purpose for it and while that purpose is granted.

import { read, remove, write } from "./storage.ts";

interface Click {
  value: string;
  /** When it was seen first, ISO 8601. */
  at: string;
}

/** Parameters of an address → trait. */
const PARAMETERS: Record<string, string> = {
  gclid: "gclid",
  gbraid: "gbraid",
  wbraid: "wbraid",
  dclid: "dclid",
  msclkid: "msclkid",
  ttclid: "ttclid",
  twclid: "twclid",
  li_fat_id: "li_fat_id",
  epik: "epik",
  ScCid: "sccid",
  rdt_cid: "rdt_cid",
};
/** First-party cookies of partners' own tags → trait. */
const COOKIES: Record<string, string> = { _fbc: "fbc", _fbp: "fbp", _ttp: "ttp", _scid: "scid", _epik: "epik", li_fat_id: "li_fat_id" };
const VALUE_MAX = 512;
/** Partners match a click for 90 days at most. */
const KEPT_MS = 90 * 86_400_000;

/** Seen on this page; in memory until it may be kept. */
const seen: Record<string, Click> = {};

/** Looks at an address. Stores nothing. */
export function landed(search: string): void {
  const at = new Date();
  const note = (name: string, value: string): void => {
    if (value.length <= VALUE_MAX && seen[name]?.value !== value) seen[name] = { value, at: at.toISOString() };
  };
  new URLSearchParams(search).forEach((value, key) => {
    const name = PARAMETERS[key];
    if (name && value) note(name, value);
    // Meta's own form of a click: version, subdomain index, when, which.
    if (key === "fbclid" && value && !seen["fbc"]?.value.endsWith(`.${value}`)) note("fbc", `fb.1.${at.getTime()}.${value}`);
  });
}

/** Forgets what was kept: the purpose is not granted, or no longer. */
export const forgetClicks = (): void => remove("clicks");

/** Keeps what was seen, and answers what no event has carried yet, as traits: `{gclid: {value, at}}`. Only while the purpose is granted. */
export function newClicks(): Record<string, Click> | undefined {
  let kept: Record<string, Click> = {};
  try {
    kept = JSON.parse(read("clicks") ?? "{}");
  } catch {
    // Somebody else's text: as if nothing were kept.
  }
  const now = new Date();
  for (const name of Object.keys(kept)) {
    if (!(now.getTime() - Date.parse(kept[name]?.at ?? "") < KEPT_MS)) delete kept[name];
  }
  const found: Record<string, Click> = {};
  for (const [cookie, name] of Object.entries(COOKIES)) {
    const value = document.cookie.match(`(?:^|; )${cookie}=([^;]{1,${VALUE_MAX}})`)?.[1];
    if (value) found[name] = { value: value, at: now.toISOString() };
  }
  const fresh: Record<string, Click> = {};
  // A click in the address is newer than the cookie of an earlier one.
  for (const [name, { value, at }] of Object.entries({ ...found, ...seen })) {
    if (kept[name]?.value === value) continue;
    kept[name] = fresh[name] = { value, at };
  }
  if (!Object.keys(fresh).length) return undefined;
  write("clicks", JSON.stringify(kept));
  return fresh;
}
