import { landed } from "./clicks.ts";

declare const navigator: Navigator & { globalPrivacyControl?: boolean };

/** Identifiers that advertisers append to the addresses of a page. */
const CLICK_IDS = ["gclid", "gbraid", "wbraid", "dclid", "fbclid", "msclkid", "ttclid", "twclid", "li_fat_id", "epik", "ScCid", "rdt_cid"];
/** Characters of one value of the campaign, at most. */
const VALUE_MAX = 256;

let campaign: Record<string, string> | undefined;

/** UTM parameters and click ids of the address; those of the landing hold until others come or the page is left. */
function campaignOf(search: string): Record<string, string> | undefined {
  const found: Record<string, string> = {};
  new URLSearchParams(search).forEach((value, key) => {
    const name = key.startsWith("utm_") ? key.slice(4) : CLICK_IDS.includes(key) ? key : "";
    if (name && value) found[name === "campaign" ? "name" : name] = value.slice(0, VALUE_MAX);
  });
  if (Object.keys(found).length) campaign = found;
  return campaign;
}

/** The page as Segment's SDK describes it. */
export const page = (referrer: string) => ({
  url: location.href,
  path: location.pathname,
  search: location.search,
  title: document.title,
  referrer,
});

export const context = (referrer: string): Record<string, unknown> => ({
  page: page(referrer),
  campaign: (landed(location.search), campaignOf(location.search)),
  locale: navigator.language,
  userAgent: navigator.userAgent,
  library: { name: "jumelle-tag", version: "0.1.0" },
});

/** The visitor's browser says that her data may not be sold or shared. */
export const globalPrivacyControl = (): boolean => navigator.globalPrivacyControl === true;
