import { random, read, remove, write } from "./storage.ts";

/** First-party cookie with the anonymous id. Set once: visits don't prolong it. */
const COOKIE = "jumelle_id";
const DAY_S = 86_400;

let spare: string | undefined;

/** The anonymous id of this browser, if it has one. */
export function anonymousId(): string | undefined {
  return document.cookie.match(`(?:^|; )${COOKIE}=([\\w-]{8,64})`)?.[1] ?? spare;
}

function cookie(value: string, seconds: number, domain: string): void {
  const secure = location.protocol === "https:" ? "; Secure" : "";
  document.cookie = `${COOKIE}=${value}; Path=/; Max-Age=${seconds}; SameSite=Lax${domain && `; Domain=${domain}`}${secure}`;
}

/** Makes an id. Without cookies it lasts as long as the page. */
export function makeId(days: number, domain: string): string {
  const made = random();
  cookie(made, days * DAY_S, domain);
  spare = anonymousId() === made ? undefined : made;
  return made;
}

export function forget(domain: string): void {
  cookie("", 0, domain);
  spare = undefined;
  remove("user");
  remove("gpc");
}

/** The user id of the last `identify` in this browser. */
export const userId = (): string | undefined => read("user") ?? undefined;
export const keepUser = (id: string): void => write("user", id);
