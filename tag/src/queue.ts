import { backoff, type Place } from "./settings.ts";
import { keys, read, remove, write } from "./storage.ts";

/** Events that wait at most, and days that they wait; the oldest go first. */
const EVENTS_MAX = 500;
const DAYS_MAX = 30;
/** Bytes of an event (the server's limit) and of a request: browsers let 64 KiB leave a page that is being closed. */
const EVENT_BYTES_MAX = 32 * 1024;
const BATCH_BYTES_MAX = 60_000;
/** Milliseconds that events wait for others. */
const GATHER_MS = 1_000;
/** Milliseconds without an answer after which a request counts as failed. */
const ANSWER_MS = 30_000;
/** Milliseconds of a `Retry-After` at most. */
const PAUSE_MAX_MS = 3_600_000;
/** An event whose sending was cut short may have arrived: it is sent again within this time only, in which the server knows its id (24 h). */
const RESEND_MS = 12 * 3_600_000;
const DAY_MS = 86_400_000;

const bytes = (text: string): number => new Blob([text]).size;

/**
 * Events on their way. Each has an item of its own in `localStorage`, `q.TIME.ID` (`w.TIME.ID`: a withdrawal), so that tabs don't
 * overwrite each other's; its value is `BEGUN{…}`, BEGUN being when a request began to carry it, if one did.
 */
export class Queue {
  private timer: ReturnType<typeof setTimeout> | undefined;
  private busy = false;
  private again = false;
  /** What the request under way carries: it goes on when the page is left. */
  private flying: string[] = [];
  private failures = 0;
  private pausedUntil = 0;
  private readonly place: Place;
  private readonly allowed: () => boolean;

  constructor(place: Place, allowed: () => boolean) {
    this.place = place;
    this.allowed = allowed;
    addEventListener("online", () => {
      this.pausedUntil = 0;
      this.soon(0);
    });
  }

  add(event: { messageId: string }, kind: "q" | "w" = "q"): void {
    const text = JSON.stringify(event);
    if (bytes(text) > EVENT_BYTES_MAX) {
      console.warn("jumelle: an event has 32 KiB at most", event);
      return;
    }
    for (const old of keys("q.").slice(0, 1 - EVENTS_MAX)) remove(old);
    write(`${kind}.${Date.now().toString(36)}.${event.messageId}`, text);
    this.soon(kind === "w" ? 0 : GATHER_MS);
  }

  clear(): void {
    for (const key of keys("q.")) remove(key);
  }

  soon(ms: number): void {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => void this.send(), Math.max(ms, Math.ceil(this.pausedUntil - Date.now())));
  }

  /** Takes what fits into a request and notes that its sending begins. */
  private batch(except: string[] = []): { sent: string[]; body: string } | undefined {
    const now = Date.now();
    const sent: string[] = [];
    const events: string[] = [];
    let size = 0;
    for (const key of keys("w.").concat(this.allowed() ? keys("q.") : [])) {
      if (except.includes(key)) continue;
      const value = read(key) ?? "";
      const start = value.indexOf("{");
      const begun = Number(value.slice(0, start));
      const made = parseInt(key.split(".")[1] ?? "", 36);
      if (start < 0 || made < now - DAYS_MAX * DAY_MS || (begun && begun < now - RESEND_MS && key[0] === "q")) {
        remove(key);
        continue;
      }
      const text = value.slice(start);
      size += bytes(text) + 1;
      if (events.length && size > BATCH_BYTES_MAX) break;
      sent.push(key);
      events.push(text);
      write(key, (begun || now) + text);
    }
    const { key } = this.place;
    const sentAt = new Date().toISOString();
    return events.length
      ? { sent, body: `{"writeKey":${JSON.stringify(key)},"sentAt":"${sentAt}","batch":[${events.join()}]}` }
      : undefined;
  }

  /** One tab sends at a time where the browser has locks; where it has none, the server drops what comes twice. */
  async send(): Promise<void> {
    // Timers may be early by a part of a millisecond, and a request under way may have taken its last batch: never just return.
    if (this.busy) {
      this.again = true;
      return;
    }
    if (Date.now() < this.pausedUntil) return this.soon(0);
    this.busy = true;
    this.again = false;
    try {
      if (navigator.locks) {
        await navigator.locks.request("jumelle", { ifAvailable: true }, (lock) => (lock ? this.drain() : this.soon(GATHER_MS)));
      } else {
        await this.drain();
      }
    } finally {
      this.busy = false;
      if (this.again) this.soon(0);
    }
  }

  private async drain(): Promise<void> {
    for (let batch = this.batch(); batch; batch = this.batch()) {
      const abort = new AbortController();
      const timer = setTimeout(() => abort.abort(), ANSWER_MS);
      let after = 0;
      this.flying = batch.sent;
      try {
        const answer = await fetch(this.url(), { ...this.request(batch.body), keepalive: true, signal: abort.signal });
        // 4xx: it would be refused again. The server has it in its quarantine, with the reason.
        if (answer.status < 500 && answer.status !== 429 && answer.status !== 408) {
          this.failures = 0;
          for (const key of batch.sent) remove(key);
          continue;
        }
        after = Math.min((Number(answer.headers.get("retry-after")) || 0) * 1_000, PAUSE_MAX_MS);
      } catch {
        // No network, or no answer.
      } finally {
        clearTimeout(timer);
        this.flying = [];
      }
      for (const key of batch.sent) {
        const value = read(key);
        if (value) write(key, value.slice(value.indexOf("{")));
      }
      const wait = Math.max(after, backoff(++this.failures));
      this.pausedUntil = Date.now() + wait;
      this.soon(wait);
      return;
    }
  }

  /** The page may be about to go: hand the browser what waits. It stays in the queue until a request was answered. */
  leave(): void {
    // A withdrawal does not wait: the visitor may not come back.
    const batch = Date.now() < this.pausedUntil && !keys("w.").length ? undefined : this.batch(this.flying);
    if (batch && !navigator.sendBeacon?.(this.url(), batch.body)) {
      void fetch(this.url(), { ...this.request(batch.body), keepalive: true }).catch(() => undefined);
    }
  }

  private url(): string {
    return `${this.place.host}/v1/batch`;
  }

  /** Plain text: a request to another host needs no preflight. */
  private request(body: string): RequestInit {
    return { method: "POST", body, credentials: "omit", headers: { "content-type": "text/plain" } };
  }
}
