// The console over the real binary, with a small shop whose story is known: who was recognised, what left, what was held back.

import { createServer, type Server as Receiver } from "node:http";
import type { AddressInfo } from "node:net";
import { AxeBuilder } from "@axe-core/playwright";
import { test as base, type Browser, expect, type Page } from "@playwright/test";
import { startServer, type Server } from "./server.ts";

const WORKSPACE = (hook: string) => `
workspace: {key: maison, locale: fr, timezone: Europe/Paris, currency: EUR}
sources:
  site: {kind: web, write_key: wk_site}
  till: {kind: server, write_key: wk_till}
identifiers:
  user_id: {limit: 1}
  loyalty_card: {limit: 3}
  email: {limit: 5, normalize: email}
  anonymous_id: {limit: 500}
purposes:
  marketing: {basis: consent}
segments:
  sneakers_undecided:
    label: {fr: "Hésite sur des sneakers", en: "Undecided about sneakers"}
    rule: {did: Product Viewed, where: {category: sneakers}, count: {gte: 3}, within: 30d}
destinations:
  mail_tool: {connector: webhook, url: "${hook}", allow_private: true}
activations:
  sneakers_mail:
    {segment: sneakers_undecided, destination: mail_tool, purpose: marketing, channel: email, map: {email: identifiers.email}}
`;

/** The two looks in which every page is examined; together they show both languages and both schemes. */
export const LOOKS = [
  { language: "fr", locale: "fr-FR", scheme: "light" },
  { language: "en", locale: "en-GB", scheme: "dark" },
] as const;
/** One of them. */
export type Look = (typeof LOOKS)[number];
export const [FRENCH, ENGLISH] = LOOKS;
/** The desk and the phone. */
export const DESK = { width: 1440, height: 900 };
export const PHONE = { width: 390, height: 844 };

type Event = Record<string, unknown>;

/** The shop's server and what one can tell it. */
export interface Shop extends Server {
  /** Sends events of a source, as its SDK would. */
  tell(source: "site" | "till", ...events: Event[]): Promise<void>;
  /** Somebody looks at three pairs of sneakers. */
  hesitates(browser: string): Promise<void>;
}

const view = (browser: string, product: string): Event => ({
  type: "track", event: "Product Viewed", anonymousId: browser, properties: { product_id: product, category: "sneakers", price: 95 },
}); // prettier-ignore

/** What the gate is told when somebody chooses. */
export const choice = (browser: string, email: string, state: "granted" | "denied"): Event => ({
  type: "identify", anonymousId: browser, traits: { email, city: "Lille" },
  context: { consents: [{ purpose: "marketing", channel: "email", state }] },
}); // prettier-ignore

/** An event whose price is written as a text, which no rule lets through. */
export const badPrice = (order: string): Event => ({
  type: "track", event: "Order Completed", anonymousId: "browser-bad", properties: { order_id: order, products: [{ product_id: "P-1", price: "129.90" }] },
}); // prettier-ignore

async function tellStory(shop: Shop): Promise<void> {
  await shop.tell("till", {
    type: "track", event: "Order Completed", properties: { order_id: "T-1", total: 89.9, currency: "EUR" },
    context: { externalIds: [{ type: "loyalty_card", id: "2900417733", collection: "users", encoding: "none" }], traits: { email: "ana@example.org" } },
  }); // prettier-ignore
  await shop.tell("site", choice("browser-ana", "ana@example.org", "granted"));
  await shop.tell("site", { type: "identify", anonymousId: "browser-bruno", traits: { email: "bruno@example.org" } });
  await shop.tell("site", choice("browser-carla", "carla@example.org", "denied"));
  for (const browser of ["browser-ana", "browser-bruno", "browser-carla", "browser-nobody"]) await shop.hesitates(browser);
  await shop.tell("site", badPrice("O-1"), { type: "track", anonymousId: "browser-bad", properties: {} });
  await expect
    .poll(async () => {
      const { quarantine, blocked, destinations } = await shop.api("/v1/overview");
      const held = blocked.reduce((sum: number, row: { count: number }) => sum + row.count, 0);
      return { quarantine, held: held >= 2, sent: destinations[0]?.sent_hour };
    }, "the story has reached its end")
    .toEqual({ quarantine: 2, held: true, sent: 1 });
}

/** A server with the shop's story, one for all tests of a worker. */
export const test = base.extend<{ visit: (path: string, look?: Partial<Look> & { size?: typeof DESK }) => Promise<Page> }, { shop: Shop }>({
  shop: [
    async ({}, use) => {
      const receiver: Receiver = createServer((request, response) => {
        request.resume().on("end", () => response.writeHead(204).end());
      });
      await new Promise<void>((done) => receiver.listen(0, "127.0.0.1", done));
      const hook = `http://127.0.0.1:${(receiver.address() as AddressInfo).port}/hook`;
      const server = await startServer({ workspace: WORKSPACE(hook) });
      const shop: Shop = {
        ...server,
        async tell(source, ...events) {
          const body = JSON.stringify({ writeKey: `wk_${source}`, batch: events });
          const answer = await fetch(`${server.url}/v1/batch`, { method: "POST", headers: { "content-type": "application/json" }, body });
          // 400: none of them was understood, which some tests want.
          expect([200, 400], await answer.text()).toContain(answer.status);
        },
        async hesitates(browser) {
          await shop.tell("site", ...["S-1", "S-2", "S-3"].map((product) => view(browser, product)));
        },
      };
      try {
        await tellStory(shop);
        await use(shop);
      } finally {
        await server.stop();
        receiver.closeAllConnections();
        receiver.close();
      }
    },
    { scope: "worker", timeout: 90_000 },
  ],
  visit: async ({ browser, shop }, use) => {
    const opened: Page[] = [];
    await use(async (path, look) => {
      const page = await openSignedIn(browser, shop, path, look);
      opened.push(page);
      return page;
    });
    for (const page of opened) await page.context().close();
  },
});

/** A page of the console, signed in. What the browser complains of (a blocked script, an error) fails the test. */
async function openSignedIn(browser: Browser, shop: Shop, path: string, { locale = "en-GB", scheme = "light", size = DESK }: Partial<Look> & { size?: typeof DESK } = {}): Promise<Page> {
  const context = await browser.newContext({ baseURL: shop.url, locale, colorScheme: scheme, viewport: size, timezoneId: "America/New_York" });
  const signedIn = await context.request.post("/v1/session", { data: { token: shop.token } });
  expect(signedIn.status()).toBe(204);
  const page = await context.newPage();
  page.on("pageerror", (error) => {
    throw error;
  });
  await page.goto(path);
  await expect(page.locator("h1")).toBeVisible();
  return page;
}

/** No violation that axe knows of, on the page as it stands. */
export async function expectAccessible(page: Page): Promise<void> {
  // A colour that is on its way is no colour to measure.
  await page.evaluate(() => Promise.all(document.getAnimations().filter((one) => one.effect?.getComputedTiming().endTime !== Infinity).map((one) => one.finished.catch(() => undefined))));
  const { violations } = await new AxeBuilder({ page }).analyze();
  expect(violations.map(({ id, nodes }) => ({ id, at: nodes.map((node) => `${node.target.join(" ")}: ${node.failureSummary}`) }))).toEqual([]);
}

/** Nothing stands out of the page at its right. */
export async function expectFits(page: Page): Promise<void> {
  expect(await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth)).toBeLessThanOrEqual(0);
}

export { expect };
