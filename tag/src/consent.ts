import { globalPrivacyControl } from "./context.ts";
import type { Settings } from "./settings.ts";
import { read, write } from "./storage.ts";

export type State = "granted" | "denied";

/** A choice as the page gives it. */
export interface Choice {
  purpose: string;
  channel?: string;
  state: State;
  /** ISO 8601; left out: now. */
  at?: string;
  /** The address that it is for; left out: this browser. */
  for?: Record<string, string>;
  proof?: Record<string, unknown>;
}

/** Channels that reach this browser; a choice for another one (e-mail …) is not about what this browser may keep. */
const DEVICE_CHANNELS = ["push", "onsite", "display", "social", "retargeting", "personalization"];
const DAY_MS = 86_400_000;

/** A choice as this browser keeps it. */
export interface Kept extends Choice {
  at: string;
  /** Made with `consent()` while Global Privacy Control was on: it outweighs the signal. */
  despite?: boolean;
  /** From Consent Mode. */
  mode?: boolean;
}

export const isOfDevice = (choice: Choice): boolean => !choice.for && (!choice.channel || DEVICE_CHANNELS.includes(choice.channel));

/** What was chosen in this browser, and what follows from it. Read anew each time: another tab may have changed it. */
export class Choices {
  /** Types of Consent Mode as updated so far. */
  private mode: Record<string, unknown> = {};
  private readonly settings: Settings;

  constructor(settings: Settings) {
    this.settings = settings;
  }

  private all(): Record<string, Kept> {
    let all: Record<string, Kept> = {};
    try {
      all = JSON.parse(read("choices") ?? "{}");
    } catch {
      // Somebody else's text: as if there were no choice.
    }
    const oldest = Date.now() - this.settings.cookie_days * DAY_MS;
    for (const key of Object.keys(all)) {
      if (!(Date.parse(all[key]?.at ?? "") > oldest)) delete all[key];
    }
    return all;
  }

  /** Keeps a choice of this browser; answers whether anything is different now. */
  keep(choice: Kept): boolean {
    const all = this.all();
    const key = choice.purpose + (choice.channel ? `/${choice.channel}` : "");
    const before = all[key];
    const same = before?.state === choice.state && before.proof?.["text"] === choice.proof?.["text"];
    // Pages and Consent Mode repeat a choice at each load: it keeps its time. Consent Mode does not undo a refusal given to us.
    if (before && (choice.mode ? same || !before.mode && choice.state === "granted" : same && before.despite === choice.despite)) {
      return false;
    }
    all[key] = choice;
    write("choices", JSON.stringify(all));
    return true;
  }

  /** The purpose in this browser: kept, or denied by Global Privacy Control. */
  private of(purpose: string): Kept | undefined {
    const kept = this.all()[purpose];
    if (globalPrivacyControl() && this.settings.purposes[purpose]?.gpc && !kept?.despite) {
      return kept?.state === "denied" ? kept : { purpose, state: "denied", at: new Date().toISOString(), proof: { method: "gpc" } };
    }
    return kept;
  }

  /** May the tag store and send? `undefined`: nobody said yet. */
  allowed(): boolean | undefined {
    const { requires, purposes } = this.settings;
    const states = requires.map((purpose) => this.of(purpose)?.state ?? (purposes[purpose]?.basis === "consent" ? undefined : "granted"));
    if (states.includes("denied") || !states.length) return false;
    return states.includes(undefined) ? undefined : true;
  }

  /** Whether this browser granted a purpose; what needs no grant has it until it is denied. */
  granted(purpose: string): boolean {
    const known = this.settings.purposes[purpose];
    const state = this.of(purpose)?.state;
    return known?.basis === "consent" ? state === "granted" : known !== undefined && state !== "denied";
  }

  /** Everything that stands in this browser. */
  standing(): Kept[] {
    const all = this.all();
    const byChannel = Object.keys(all).flatMap((key) => (key.includes("/") ? [all[key] as Kept] : []));
    return Object.keys(this.settings.purposes).flatMap((purpose) => this.of(purpose) ?? []).concat(byChannel);
  }

  /** Choices that a consent platform's categories come to. A category that the platform does not have says nothing. */
  fromCategories(allowed: (category: string) => boolean | undefined): Choice[] {
    return Object.entries(this.settings.purposes).flatMap(([purpose, { categories }]) =>
      Object.entries(categories ?? {}).flatMap(([channel, names]): Choice[] => {
        const states = names.map(allowed);
        const denied = states.includes(false);
        if (!denied && states.includes(undefined)) return [];
        return [{ purpose, ...(channel && { channel }), state: denied ? "denied" : "granted" }];
      }),
    );
  }

  /** Choices that an update of Google's Consent Mode comes to. */
  fromMode(update: Record<string, unknown>): Choice[] {
    Object.assign(this.mode, update);
    return Object.entries(this.settings.purposes).flatMap(([purpose, { gcm }]) => {
      const states = gcm.map((type) => this.mode[type]);
      const denied = states.includes("denied");
      return states.length && (denied || states.every((state) => state === "granted"))
        ? [{ purpose, state: denied ? "denied" : "granted" }]
        : [];
    });
  }
}
