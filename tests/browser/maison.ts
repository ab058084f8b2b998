// A shop with people whose stories are known, over the real binary: what the tests of people, segments and destinations look at.

import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { resolve } from "node:path";
import { expect, test as base, type Shop } from "./console.ts";
import { type Server, startServer } from "./server.ts";

/** Visitors without a name who hesitate about sneakers: more than a page of members. */
export const VISITORS = 60;
/** Known people whose consent lets a message leave to the tool that refuses everything. */
export const REFUSED = 3;
/** Everybody who hesitates about sneakers: the visitors, Ana, Bruno, and those whom the tool refuses. */
export const UNDECIDED = VISITORS + 2 + REFUSED;

const MINUTE = 60_000;
const DAY_MIN = 24 * 60;
// The receiver checks no signature; the server wants a secret all the same.
process.env.HOOK_SECRET ??= "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/** The running shop. */
export interface Maison extends Server {
  /** Lets the tool that refuses everything take messages from now on. */
  mendAds(): void;
}

/** Starts a server on an empty directory and tells it the stories. */
export async function startMaison(): Promise<Maison> {
  let ads = 422;
  // /mail takes everything, /ads refuses each message, /calls is shut to us, which opens the circuit at once.
  const receiver = createServer((request, response) => {
    const status = request.url === "/ads" ? ads : request.url === "/calls" ? 403 : 200;
    request.resume().on("end", () => response.writeHead(status).end(status === 422 ? "unknown audience" : status === 403 ? "key revoked" : ""));
  });
  await new Promise<void>((done) => receiver.listen(0, "127.0.0.1", done));
  const workspace = readFileSync(resolve(import.meta.dirname, "maison.yaml"), "utf8");
  const server = await startServer({ workspace: workspace.replaceAll("RECEIVER", `http://127.0.0.1:${(receiver.address() as AddressInfo).port}`) });
  const stop = async () => {
    await server.stop();
    receiver.closeAllConnections();
    receiver.close();
  };
  try {
    await tell(server);
  } catch (error) {
    await stop();
    throw error;
  }
  return { ...server, mendAds: () => (ads = 200), stop };
}

/** The pages of the console over this shop, one for all tests of a worker. */
export const test = base.extend<object, { maison: Maison }>({
  maison: [
    async ({}, use) => {
      const maison = await startMaison();
      try {
        await use(maison);
      } finally {
        await maison.stop();
      }
    },
    { scope: "worker", timeout: 90_000 },
  ],
  // The pages that `visit` opens are this shop's.
  shop: [({ maison }, use) => use(maison as unknown as Shop), { scope: "worker" }],
});

async function tell({ api }: Server): Promise<void> {
  const now = Date.now();
  let n = 0;
  const post = (writeKey: string, batch: object[]) => api("/v1/batch", { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify({ writeKey, batch }) });
  const send = (writeKey: string, minutesAgo: number, event: object) => post(writeKey, [{ messageId: `m-${++n}`, timestamp: at(minutesAgo), ...event }]);
  const days = (count: number) => count * DAY_MIN;
  const card = { externalIds: [{ type: "loyalty_card", id: "2900417733", collection: "users", encoding: "none" }] };
  const at = (minutesAgo: number) => new Date(now - minutesAgo * MINUTE).toISOString();

  // Ana: two receipts and a survey on one side, an unknown browser on the other; then she signs up, and they are one person.
  await send("wk_till", days(40), {
    type: "track", event: "Order Completed",
    properties: { order_id: "T-20417", channel: "store", store: "Lille", total: 89.9, currency: "EUR", products: [{ product_id: "B-310", name: "Chelsea boots", category: "boots", quantity: 1, price: 89.9 }] },
    context: { ...card, traits: { email: "ana@example.org" } },
  });
  await send("wk_till", days(18), {
    type: "track", event: "Order Completed",
    properties: { order_id: "T-20988", channel: "store", store: "Lille", total: 34.5, currency: "EUR", products: [{ product_id: "K-12", name: "Wool socks", category: "socks", quantity: 3, price: 11.5 }] },
    context: card,
  });
  await send("wk_crm", days(17), {
    type: "identify", traits: { email: "ana@example.org", firstName: "Ana", lastName: "Lefèvre", city: "Lille", phone: "+33612345678", shoe_size: "42", loyalty_tier: "gold" }, context: card,
  });
  await send("wk_crm", days(16), { type: "track", event: "Survey Answered", properties: { survey: "NPS", score: 6, comment: "Longue attente en caisse" }, context: card });
  await send("wk_calls", days(2), {
    type: "track", event: "Call Ended", properties: { outcome: "resolved", topic: "delivery", seconds: 240, agent: "Lille-3" }, context: { ...card },
  });
  await send("wk_site", 42, { type: "page", name: "Home", anonymousId: "browser-7f3a", properties: { path: "/", url: "https://shop.example/", title: "Maison" } });
  const look = (id: string, name: string, price: number) => ({ type: "track", event: "Product Viewed", anonymousId: "browser-7f3a", properties: { product_id: id, name, brand: "Aster", category: "sneakers", price, currency: "EUR" } });
  await send("wk_site", 40, look("S-101", "Court Classic", 95));
  await send("wk_site", 38, look("S-117", "Runner Light", 119));
  await send("wk_site", 35, look("S-204", "Canvas High", 75));
  await send("wk_site", 33, { type: "track", event: "Product Added", anonymousId: "browser-7f3a", properties: { product_id: "S-204", name: "Canvas High", category: "sneakers", price: 75, currency: "EUR", quantity: 1 } });
  await send("wk_site", 30, {
    type: "identify", anonymousId: "browser-7f3a", userId: "u-1024", traits: { email: "Ana@Example.org", city: "Lille" },
    context: {
      consents: [
        { purpose: "marketing", channel: "email", state: "granted", at: at(30), for: { email: "ana@example.org" }, proof: { page: "/account", checkbox: "newsletter", wording: "v4" } },
        { purpose: "marketing", channel: "sms", state: "denied", at: at(30), proof: { page: "/account", checkbox: "sms", wording: "v4" } },
      ],
    },
  });
  await send("wk_app", 20, { type: "screen", name: "Wishlist", userId: "u-1024", anonymousId: "phone-19c2", properties: { items: 2 } });

  // Bruno refuses; Chloé grants display advertising, whose tool refuses her.
  await send("wk_site", 60, {
    type: "identify", userId: "u-2000", anonymousId: "browser-bruno", traits: { email: "bruno@example.org", city: "Lyon" },
    context: { consents: [{ purpose: "marketing", channel: "email", state: "denied", at: at(60), proof: { page: "/account" } }] },
  });
  for (let k = 0; k < 3; k++) await send("wk_site", 58 - k, { ...look(`S-10${k}`, "Court Classic", 95), anonymousId: "browser-bruno" });
  for (let p = 0; p < REFUSED; p++) {
    await send("wk_site", 50, {
      type: "identify", userId: `u-300${p}`, anonymousId: `browser-c${p}`, traits: { email: `chloe${p}@example.org` },
      context: { consents: [{ purpose: "analytics", state: "granted", at: at(50) }] },
    });
    for (let k = 0; k < 3; k++) await send("wk_site", 45 - k, { ...look(`S-20${k}`, "Canvas High", 75), anonymousId: `browser-c${p}` });
  }
  // Diego is unhappy and may be called; the call centre's tool does not let us in.
  await send("wk_crm", days(1), { type: "track", event: "Survey Answered", userId: "u-4000", properties: { survey: "CSAT", score: 2 }, context: { traits: { phone: "+33698765432", email: "diego@example.org" } } });
  // A crowd that only looks.
  const crowd = Array.from({ length: VISITORS }, (_, p) =>
    [0, 1, 2].map((k) => ({ ...look(`S-10${k}`, "Court Classic", 95), anonymousId: `visitor-${p}`, messageId: `v-${p}-${k}`, timestamp: at(500 + p * 90 + k) })),
  ).flat();
  await post("wk_site", crowd);

  const deliveries = async (query: string) => (await api(`/v1/deliveries?${query}`)).items.length as number;
  await expect
    .poll(
      async () => ({
        undecided: (await api("/v1/segments/sneakers_undecided")).count,
        mail: await deliveries("destination=mail_tool&state=sent"),
        refused: await deliveries("destination=ads_audience&state=dead"),
        calls: (await api("/v1/destinations/call_list")).circuit,
      }),
      // A refusal is tried five times before it is final.
      { message: "the stories have reached their end", timeout: 60_000 },
    )
    .toEqual({ undecided: UNDECIDED, mail: 1, refused: REFUSED, calls: "open" });
}
