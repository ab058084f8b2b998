// Jumelle's browser tag. In this order: the policy of the workspace, the visitor's choice, and only then anything else.

import { forgetClicks, newClicks } from "./clicks.ts";
import { type Choice, Choices, isOfDevice, type Kept } from "./consent.ts";
import { context, globalPrivacyControl, page as pageOf } from "./context.ts";
import { anonymousId, forget, keepUser, makeId, userId } from "./identity.ts";
import { listen, translate } from "./layer.ts";
import { follow } from "./navigation.ts";
import { hear } from "./platforms.ts";
import { Queue } from "./queue.ts";
import { ask, type Place, type Settings } from "./settings.ts";
import { PREFIX, random, read, write } from "./storage.ts";

type Properties = Record<string, unknown>;
type Event = Properties & { messageId: string; context: Properties };
type Known = { anonymousId: string | undefined; allowed: boolean | undefined };

/** Events that wait in memory for the visitor's choice, at most; the oldest go first. */
const WAITING_MAX = 200;
/** Milliseconds after which a choice made in another tab is acted on; events ask for it at once. */
const OTHER_TAB_MS = 200;
const METHODS = ["page", "track", "identify", "consent", "reset", "ready"] as const;

function start(place: Place): void {
  let running: { settings: Settings; choices: Choices; queue: Queue } | undefined;
  let early: (() => void)[] = [];
  let waiting: Event[] = [];
  let user: string | undefined;
  let referrer = document.referrer;

  /** Now if the policy is known, else as soon as it is. */
  const then = (act: () => void): void => {
    if (running) act();
    else if (early.push(act) > WAITING_MAX) early.shift();
  };

  const draft = (type: string, fields: Properties = {}): Event => ({
    type,
    messageId: random(),
    timestamp: new Date().toISOString(),
    userId: user ?? userId(),
    context: context(referrer),
    ...fields,
  });

  /** A consent event in the form of `context.consents`. A choice of this browser is for this browser, not for the person's e-mail. */
  const consents = (choices: Choice[], event = draft("track", { event: "Consent Updated" })): Event => {
    const entries = choices.map(({ purpose, channel, state, at, proof, ...choice }) => ({
      purpose,
      channel,
      state,
      at,
      proof,
      for: isOfDevice({ purpose, state, ...(channel && { channel }), ...choice }) ? { anonymous_id: anonymousId() } : choice.for,
    }));
    return { ...event, context: { ...event.context, consents: entries } };
  };

  /** An event with the clicks that no event has carried yet, where the visitor allows their purpose. */
  const withClicks = (event: Event): Event => {
    const clicks = place.clicks && running?.choices.granted(place.clicks) ? newClicks() : undefined;
    return clicks ? { ...event, context: { ...event.context, traits: clicks } } : event;
  };

  const add = (event: Event): void => running?.queue.add({ anonymousId: anonymousId(), ...event } as Event);

  /** The id, made if there is none; a new id begins with what stands in this browser. */
  const settleId = (): boolean => {
    const isNew = !anonymousId();
    if (!running) return isNew;
    if (isNew) makeId(Math.min(place.days || Infinity, running.settings.cookie_days), place.domain);
    const standing = running.choices.standing();
    const signals = standing.filter((choice) => choice.proof?.["method"] === "gpc");
    const signal = signals.map((choice) => choice.purpose).join();
    const fresh = isNew ? standing : (read("gpc") ?? "") !== signal ? signals : [];
    if (signal || read("gpc")) write("gpc", signal);
    if (fresh.length) add(consents(fresh));
    return isNew;
  };

  const deliver = (event: Event): void => {
    const allowed = running?.choices.allowed();
    if (allowed) {
      settleId();
      add(withClicks(event));
    } else if (allowed === undefined && waiting.push(event) > WAITING_MAX) {
      waiting.shift();
    }
  };

  /** Acts on the choices as they are now; answers whether all of them were just told under a new id. */
  const settle = (): boolean => {
    if (!running) return false;
    const allowed = running.choices.allowed();
    if (!allowed || !running.choices.granted(place.clicks)) forgetClicks();
    if (allowed) {
      const isNew = settleId();
      if (user) keepUser(user);
      for (const event of waiting.splice(0)) add(withClicks(event));
      return isNew;
    }
    if (allowed === false) {
      waiting = [];
      user = undefined;
      running.queue.clear();
      const denied = running.choices.standing().filter((choice) => choice.state === "denied");
      const id = anonymousId();
      if (id) {
        // The last thing said of this id: the gate must know.
        if (denied.length) {
          running.queue.add({ ...consents(denied), anonymousId: id, userId: undefined } as Event, "w");
        }
        forget(place.domain);
      }
    }
    return false;
  };

  const choose = (choices: Choice[], event: Event, mode: boolean, proof?: Properties): void => {
    if (!running) return;
    const { settings } = running;
    const kept: Kept[] = [];
    const addressed: Choice[] = [];
    for (const choice of choices) {
      if (!settings.purposes[choice.purpose] || !/^(granted|denied)$/.test(choice.state)) {
        console.warn("jumelle: not a choice about a purpose of this workspace", choice);
        continue;
      }
      const dated = {
        ...choice,
        at: choice.at ?? (event["timestamp"] as string),
        proof: { page: location.origin + location.pathname, method: mode ? "consent_mode" : "tag", ...proof, ...choice.proof },
      };
      if (!isOfDevice(choice)) addressed.push(dated);
      else if (running.choices.keep({ ...dated, ...(mode ? { mode } : globalPrivacyControl() && { despite: true }) })) kept.push(dated);
    }
    const told = settle();
    const rest = told ? addressed : kept.concat(addressed as Kept[]);
    if (!rest.length) return;
    // What is about this browser alone has nothing to wait for: a later grant tells everything that stands.
    if (running.choices.allowed()) {
      add(consents(rest, event));
      running.queue.soon(0);
    } else if (addressed.length) {
      deliver(consents(addressed, event));
    }
  };

  const api = {
    page(name?: string | Properties, properties?: Properties) {
      const [named, more] = typeof name === "string" ? [name, properties] : [undefined, name];
      const event = draft("page", { name: named, properties: { ...pageOf(referrer), ...more } });
      then(() => deliver(event));
    },
    track(event: string, properties: Properties = {}) {
      const made = draft("track", { event, properties });
      then(() => deliver(made));
    },
    identify(id?: string | number | Properties | null, traits?: Properties) {
      const of = typeof id === "object" && id ? id : traits;
      if (typeof id === "string" || typeof id === "number") user = String(id);
      const event = draft("identify", { traits: of ?? {} });
      then(() => {
        if (user && running?.choices.allowed()) keepUser(user);
        deliver(event);
      });
    },
    consent(choices: Choice | Choice[], proof?: Properties) {
      const event = draft("track", { event: "Consent Updated" });
      then(() => choose(([] as Choice[]).concat(choices), event, false, proof));
    },
    reset() {
      then(() => {
        user = undefined;
        forget(place.domain);
        forgetClicks();
        if (running?.choices.allowed()) settleId();
      });
    },
    ready(call: (known: Known) => void) {
      then(() => call({ anonymousId: anonymousId(), allowed: running?.choices.allowed() }));
    },
    /** The queue's snippet pushes `[method, …arguments]`. */
    push(...calls: unknown[][]) {
      for (const [method, ...given] of calls) {
        const found = METHODS.find((name) => name === method);
        if (found) (api[found] as (...given: unknown[]) => void)(...given);
      }
    },
  };

  const page = window as unknown as { jumelle?: unknown };
  const stub = page.jumelle;
  page.jumelle = api;
  if (place.pages) {
    api.page();
    follow((left) => {
      referrer = left;
      api.page();
    });
  }
  if (Array.isArray(stub)) api.push(...stub);
  listen(place.layer, (said) => {
    const event = draft("track", { event: "Consent Updated" });
    then(() => {
      if (!running) return;
      if ("mode" in said) return choose(running.choices.fromMode(said.mode), event, true);
      const read = translate(said, running.settings.ga4);
      if (read) deliver({ ...event, ...read });
    });
  });

  hear((platform, allowed) => {
    const event = draft("track", { event: "Consent Updated" });
    then(() => {
      if (running) choose(running.choices.fromCategories(allowed), event, true, { method: platform });
    });
  });

  void ask(place).then((settings) => {
    if (!settings?.requires.length) {
      early = [];
      console.warn(
        settings
          ? "jumelle: this source says no purpose to ask for (requires: PURPOSE); nothing is stored or sent"
          : `jumelle: no source has the write key ${place.key}`,
      );
      return;
    }
    const choices = new Choices(settings);
    const queue = new Queue(place, () => choices.allowed() === true);
    running = { settings, choices, queue };
    settle();
    for (const act of early.splice(0)) act();
    queue.soon(0);
    addEventListener("storage", ({ key }) => {
      // The tab in which the choice was made goes first, so that one id is made.
      if (key === `${PREFIX}choices`) setTimeout(settle, OTHER_TAB_MS);
    });
    document.addEventListener("visibilitychange", () => {
      if (document.visibilityState === "hidden") void queue.send();
    });
    addEventListener("pagehide", () => queue.leave());
  });
}

const script = (document.currentScript ?? document.querySelector("script[data-write-key]")) as HTMLScriptElement | null;
const said = script?.dataset ?? {};
if (!script || !said["writeKey"]) {
  console.warn("jumelle: the script element has no data-write-key");
} else if (!("jumelle" in window) || Array.isArray(window.jumelle)) {
  start({
    host: (said["host"] ?? new URL(script.src).origin).replace(/\/$/, ""),
    key: said["writeKey"],
    layer: said["dataLayer"] ?? "dataLayer",
    domain: said["cookieDomain"] ?? "",
    pages: said["pages"] !== "off",
    days: Number(said["cookieDays"]) || 0,
    clicks: said["clickIds"] ?? "",
  });
}
