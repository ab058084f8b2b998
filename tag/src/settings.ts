/** What the server says to the tag: the `jumelle` object of `/v1/projects/{write key}/settings`. */
export interface Settings {
  /** Purposes that must all allow it before anything is stored or sent. Empty: the tag stays off. */
  requires: string[];
  purposes: Record<string, Purpose>;
  /** Days that the id and the choices are kept. */
  cookie_days: number;
  /** How to read GA4's names in a data layer. */
  ga4: { events: Record<string, string>; properties: Record<string, string>; one_product: string[]; amounts: string[] };
}

export interface Purpose {
  basis: "consent" | "contract" | "legitimate_interest";
  /** Types of Google Consent Mode that stand for it. */
  gcm: string[];
  /** Global Privacy Control counts as a denial. */
  gpc: boolean;
  /** Categories of a consent platform that must all be allowed; by channel, `""`: the whole purpose. */
  categories?: Record<string, string[]>;
}

/** What the page says to the tag, by attributes of its script element. */
export interface Place {
  /** `https://cdp.example.com`, without a slash at the end. */
  host: string;
  key: string;
  /** Name of the data layer's variable. */
  layer: string;
  /** Domain of the id's cookie; empty: this host alone. */
  domain: string;
  /** `false`: no page events by themselves. */
  pages: boolean;
  /** Shortens the life of the id. */
  days: number;
  /** Purpose for which click ids and partners' cookies are kept; empty: they are not. */
  clicks: string;
}

/** Milliseconds of a wait that doubles from one second to five minutes, with a fifth of chance so that pages don't return in step. */
export const backoff = (failures: number): number => Math.min(500 * 2 ** failures, 300_000) * (0.9 + Math.random() / 5);

/** Asks until there is an answer; a write key that nobody knows is final. */
export async function ask(place: Place): Promise<Settings | undefined> {
  for (let failures = 1; ; failures++) {
    try {
      const answer = await fetch(`${place.host}/v1/projects/${encodeURIComponent(place.key)}/settings`, {
        credentials: "omit",
        // The consent policy of now, not one from the cache.
        cache: "no-cache",
      });
      if (answer.ok) return (await answer.json()).jumelle;
      if (answer.status === 404) return undefined;
    } catch {
      // Offline: nothing is stored or sent until the policy is known.
    }
    await new Promise((wake) => setTimeout(wake, backoff(failures)));
  }
}
