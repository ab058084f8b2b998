// The browser tag in a real Chromium, on a shop of another origin, before the real binary.

import { get } from "node:http";
import { type BrowserContext, expect, type Page, test } from "@playwright/test";
import { startServer, type Server } from "./server.ts";
import { Shop } from "./shop.ts";

const WORKSPACE = `
workspace: {key: shop, locale: en, timezone: Europe/Paris, currency: EUR}
sources:
  site:    {kind: web, write_key: wk_site, requires: analytics}
  exempt:  {kind: web, write_key: wk_exempt, requires: audience}
  silent:  {kind: web, write_key: wk_silent}
  app:     {kind: app, write_key: wk_app}
purposes:
  analytics: {basis: consent, gcm: [analytics_storage]}
  marketing: {basis: consent, gcm: [ad_storage, ad_user_data]}
  audience:  {basis: legitimate_interest}
consent:
  strings:
    categories:
      choices:
        analytics: {categories: [statistics]}
`;
const GRANT = [{ purpose: "analytics", state: "granted" }];
const DENY = [{ purpose: "analytics", state: "denied" }];
const DAY_S = 86_400;

declare const jumelle: any;
declare const dataLayer: any[];
declare const gtag: (...command: unknown[]) => void;

let server: Server;
let shop: Shop;

test.beforeAll(async () => {
  server = await startServer({ workspace: WORKSPACE });
  shop = await new Shop(server.url).open();
});
test.beforeEach(() => shop.reset());
test.afterAll(async () => {
  await shop?.close();
  await server?.stop();
});

/** Opens the shop; answers when the tag knows the policy. */
async function visit(page: Page, path = "/"): Promise<void> {
  await page.goto(shop.url + path);
  await policyKnown(page);
}

const policyKnown = (page: Page) => page.evaluate(() => new Promise<void>((done) => jumelle.ready(() => done())));
const consent = (page: Page, choices: object[], proof?: object) =>
  page.evaluate(([choices, proof]) => jumelle.consent(choices, proof), [choices, proof] as const);
const track = (page: Page, event: string, properties?: object) =>
  page.evaluate(([event, properties]) => jumelle.track(event, properties), [event, properties] as const);

/** Everything that the browser keeps for the shop. */
async function kept(page: Page): Promise<{ cookies: string[]; local: string[]; session: string[] }> {
  const cookies = (await page.context().cookies()).map(({ name }) => name);
  const [local, session] = await page.evaluate(() => [Object.keys(localStorage).sort(), Object.keys(sessionStorage)] as const);
  return { cookies, local: [...local], session: [...session] };
}

const NOTHING = { cookies: [], local: [], session: [] };

async function idOf(context: BrowserContext): Promise<string> {
  const found = () => context.cookies().then((cookies) => cookies.find(({ name }) => name === "jumelle_id")?.value);
  await expect.poll(found).toBeTruthy();
  return (await found()) as string;
}

/** Events of a browser as the server has them, oldest first; none if it knows nobody by this id. */
async function events(id: string): Promise<any[]> {
  const found = await server.api(`/v1/profiles/anonymous_id:${id}/events?limit=100`).catch(() => ({ items: [] }));
  return found.items.sort((a: any, b: any) => a.timestamp.localeCompare(b.timestamp));
}

/** Names of a browser's events at the server; a page is `page`. */
const names = async (id: string) => (await events(id)).map(({ type, event }) => event ?? type);

/** Visits the next page once a browser's first events are there: what a page's end sends may arrive after what the next one sends. */
async function goOn(page: Page, id: string): Promise<void> {
  await expect.poll(() => names(id)).toEqual(["page", "Consent Updated"]);
  await visit(page, "/next");
}

/** Of each purpose and channel what the gate knows about a browser or an address. */
async function gate(id: string, namespace = "anonymous_id"): Promise<Record<string, string>> {
  const { items } = await server.api(`/v1/profiles/${namespace}:${id}/consents`).catch(() => ({ items: [] }));
  return Object.fromEntries(items.map((one: any) => [one.purpose + (one.channel ? `/${one.channel}` : ""), one.state]));
}

/** Leaves the page, which makes the tag send what it would send, and waits for a later request of the browser to arrive (its answer is not for other sites to read). */
async function leave(page: Page): Promise<void> {
  shop.head = "";
  shop.attributes = "";
  await page.goto(`${shop.url}/elsewhere`);
  await page.evaluate((cdp) => fetch(`${cdp}/healthz`, { mode: "no-cors" }).catch(() => undefined), shop.cdp);
}

/** Requests that reached Jumelle's address and are neither the tag nor its settings. */
const sent = () => shop.seen.filter(({ path }) => path !== "/tag.js" && path !== "/healthz" && !path.endsWith("/settings"));

test("nothing is stored or sent before the visitor's choice", async ({ page }) => {
  const asked: string[] = [];
  page.on("request", (request) => asked.push(new URL(request.url()).pathname));
  await page.clock.install();
  await visit(page, "/?utm_source=news&gclid=abc");
  await track(page, "Product Viewed", { product_id: "p1" });
  await page.evaluate(() => jumelle.identify("u-1", { email: "ana@example.org" }));
  await page.evaluate(() => history.pushState({}, "", "/shoes"));
  // A grant for something else, and a default that nobody chose, are no grants.
  await page.evaluate(() => {
    (window as any).dataLayer.push({ 0: "consent", 1: "default", 2: { analytics_storage: "granted" }, length: 3 });
  });
  await page.clock.fastForward("10:00");
  expect(await kept(page)).toEqual(NOTHING);
  expect(asked.filter((path) => !/^\/($|favicon|tag\.js$|v1\/projects\/wk_site\/settings$)/.test(path))).toEqual([]);
  await leave(page);
  expect(await kept(page)).toEqual(NOTHING);
  expect(sent()).toEqual([]);
});

test("click ids are kept for the purpose that the page names, with their time, and told once", async ({ page, context }) => {
  shop.attributes = 'data-write-key="wk_site" data-click-ids="marketing"';
  await context.addCookies([{ name: "_fbp", value: "fb.1.1764320000000.123", url: shop.url }]);
  const landedAt = Date.now();
  await visit(page, "/boots?gclid=G1&fbclid=F1&ttclid=T1&ScCid=S1");
  await consent(page, GRANT);
  const id = await idOf(context);
  await expect.poll(() => names(id)).toContain("page");
  // Measurement alone: no click id is kept, none is on the profile.
  expect((await kept(page)).local).not.toContain("jumelle.clicks");
  const traits = async () => (await server.api(`/v1/profiles/anonymous_id:${id}`)).traits;
  expect(await traits()).not.toHaveProperty("gclid");

  await consent(page, [{ purpose: "marketing", state: "granted" }]);
  await track(page, "Product Viewed", { product_id: "p1" });
  await expect.poll(async () => Object.keys(await traits()).sort()).toEqual(["fbc", "fbp", "gclid", "sccid", "ttclid"]);
  const viewed = (await events(id)).find(({ event }) => event === "Product Viewed");
  expect(viewed.context.traits).toMatchObject({ gclid: { value: "G1" }, ttclid: { value: "T1" }, sccid: { value: "S1" }, fbp: { value: "fb.1.1764320000000.123" } });
  expect(viewed.context.traits.fbc.value).toMatch(/^fb\.1\.\d{13}\.F1$/);
  expect(Date.parse(viewed.context.traits.gclid.at) - landedAt).toBeLessThan(30_000);
  expect(Date.parse(viewed.context.traits.gclid.at)).toBeLessThanOrEqual(Date.parse(viewed.timestamp));

  await track(page, "Product Added");
  await expect.poll(() => names(id)).toContain("Product Added");
  expect((await events(id)).find(({ event }) => event === "Product Added").context.traits).toBeUndefined();

  await consent(page, [{ purpose: "marketing", state: "denied" }]);
  expect((await kept(page)).local).not.toContain("jumelle.clicks");
  await track(page, "Order Completed", { order_id: "o1" });
  await expect.poll(() => names(id)).toContain("Order Completed");
  expect((await events(id)).find(({ event }) => event === "Order Completed").context.traits).toBeUndefined();
});

test("a grant sends what was seen before it, and the gate knows of it with its proof", async ({ page, context }) => {
  await visit(page, "/boots?utm_source=news&utm_campaign=autumn&utm_term=boots&gclid=abc");
  await track(page, "Product Viewed", { product_id: "p1" });
  await consent(page, GRANT, { text: "banner v3" });
  const id = await idOf(context);
  await expect.poll(() => names(id)).toEqual(["page", "Product Viewed", "Consent Updated"]);
  const [first, viewed] = await events(id);
  expect(first.properties).toMatchObject({ path: "/boots", title: "Shop" });
  expect(first.context.campaign).toEqual({ source: "news", name: "autumn", term: "boots", gclid: "abc" });
  expect(viewed.properties).toEqual({ product_id: "p1" });
  expect(viewed.source).toBe("site");
  expect(await gate(id)).toEqual({ analytics: "granted" });
  const { items } = await server.api(`/v1/profiles/anonymous_id:${id}/consents`);
  expect(items[0]).toMatchObject({ for: { anonymous_id: id }, proof: { page: `${shop.url}/boots`, text: "banner v3", method: "tag" } });
  const cookie = (await context.cookies()).find(({ name }) => name === "jumelle_id");
  expect(cookie?.sameSite).toBe("Lax");
  expect(Math.abs((cookie?.expires ?? 0) - Date.now() / 1000 - 395 * DAY_S)).toBeLessThan(60);
  // No request needed the browser's question to another host first.
  expect(shop.seen.filter(({ method }) => method === "OPTIONS")).toEqual([]);
  await expect.poll(async () => (await kept(page)).local).toEqual(["jumelle.choices"]);
});

test("the choice holds on the next page, and the id is the same and not prolonged", async ({ page, context }) => {
  await visit(page);
  await consent(page, GRANT);
  const id = await idOf(context);
  const before = (await context.cookies()).find(({ name }) => name === "jumelle_id")?.expires;
  await goOn(page, id);
  await expect.poll(() => names(id)).toEqual(["page", "Consent Updated", "page"]);
  expect((await context.cookies()).find(({ name }) => name === "jumelle_id")).toMatchObject({ value: id, expires: before });
});

test("a denial drops what waited; only the choice is kept", async ({ page }) => {
  await visit(page);
  await track(page, "Product Viewed");
  await consent(page, DENY);
  await track(page, "Product Added");
  expect(await kept(page)).toEqual({ ...NOTHING, local: ["jumelle.choices"] });
  await visit(page, "/next");
  expect(await page.evaluate(() => new Promise((done) => jumelle.ready(done)))).toEqual({ allowed: false });
  await leave(page);
  expect(sent()).toEqual([]);
  expect(await kept(page)).toEqual({ ...NOTHING, local: ["jumelle.choices"] });
});

test("a withdrawal empties the queue, deletes the id, and the gate is told", async ({ page, context }) => {
  await visit(page);
  await page.evaluate(() => jumelle.identify("u-withdraws"));
  await consent(page, [...GRANT, { purpose: "marketing", channel: "onsite", state: "granted" }]);
  const id = await idOf(context);
  await expect.poll(() => gate(id)).toEqual({ analytics: "granted", "marketing/onsite": "granted" });
  // What waits for a server in trouble at that moment is not sent later.
  shop.trouble = { status: 503 };
  shop.troubles = 1;
  await track(page, "Product Viewed");
  await expect.poll(() => shop.troubles).toBe(0);
  await consent(page, DENY);
  await track(page, "Product Added");
  await expect.poll(() => gate(id)).toEqual({ analytics: "denied", "marketing/onsite": "granted" });
  await expect.poll(() => kept(page)).toEqual({ ...NOTHING, local: ["jumelle.choices"] });
  await leave(page);
  expect(await names(id)).toEqual(["page", "identify", "Consent Updated", "Consent Updated"]);
  const last = shop.events.at(-1);
  expect(last).toMatchObject({ anonymousId: id, context: { consents: [{ purpose: "analytics", state: "denied" }] } });
  expect(last.userId).toBeUndefined();
});

test("a withdrawal that meets a dead network arrives with the next visit", async ({ page, context }) => {
  await visit(page);
  await consent(page, GRANT);
  const id = await idOf(context);
  await expect.poll(() => gate(id)).toEqual({ analytics: "granted" });
  shop.trouble = "cut";
  shop.troubles = 1_000;
  await consent(page, DENY);
  await page.reload();
  shop.troubles = 0;
  await expect.poll(() => gate(id)).toEqual({ analytics: "denied" });
  await expect.poll(() => kept(page)).toEqual({ ...NOTHING, local: ["jumelle.choices"] });
});

const turnOnGpc = (page: Page) =>
  page.addInitScript(() => Object.defineProperty(Navigator.prototype, "globalPrivacyControl", { get: () => true }));

test("Global Privacy Control is a denial until the visitor says otherwise here", async ({ page, context }) => {
  await turnOnGpc(page);
  await visit(page);
  await track(page, "Product Viewed");
  // A banner that grants by itself does not outweigh what the browser says.
  await page.evaluate(() => dataLayer.push({ 0: "consent", 1: "update", 2: { analytics_storage: "granted" }, length: 3 }));
  expect(await page.evaluate(() => new Promise((done) => jumelle.ready(done)))).toEqual({ allowed: false });
  expect((await kept(page)).cookies).toEqual([]);
  expect(sent()).toEqual([]);
  await consent(page, GRANT);
  await track(page, "Product Added");
  const id = await idOf(context);
  await expect.poll(() => names(id)).toEqual(["Consent Updated", "Product Added"]);
  // For marketing nobody said otherwise.
  await expect.poll(() => gate(id)).toEqual({ analytics: "granted", marketing: "denied" });
});

test("Global Privacy Control turned on later withdraws", async ({ page, context }) => {
  await visit(page);
  await consent(page, GRANT);
  const id = await idOf(context);
  await expect.poll(() => gate(id)).toEqual({ analytics: "granted" });
  await turnOnGpc(page);
  await visit(page);
  await expect.poll(() => gate(id)).toMatchObject({ analytics: "denied" });
  expect((await kept(page)).cookies).toEqual([]);
});

test("a purpose that needs no consent runs without a grant, tells the gate of Global Privacy Control once, and honours a denial", async ({ page, context }) => {
  shop.attributes = 'data-write-key="wk_exempt"';
  await turnOnGpc(page);
  await visit(page);
  const id = await idOf(context);
  await goOn(page, id);
  await expect.poll(() => names(id)).toEqual(["page", "Consent Updated", "page"]);
  await expect.poll(() => gate(id)).toEqual({ analytics: "denied", marketing: "denied" });
  const [, told] = await events(id);
  expect(told.context.consents[0].proof.method).toBe("gpc");
  await consent(page, [{ purpose: "audience", state: "denied" }]);
  await expect.poll(() => gate(id)).toEqual({ analytics: "denied", marketing: "denied", audience: "denied" });
  expect((await kept(page)).cookies).toEqual([]);
});

test("without requires every purpose that needs consent must be granted", async ({ page, context }) => {
  shop.attributes = 'data-write-key="wk_silent"';
  await visit(page);
  await consent(page, GRANT);
  expect(await page.evaluate(() => new Promise((done) => jumelle.ready(done)))).toEqual({});
  expect((await kept(page)).cookies).toEqual([]);
  await consent(page, [{ purpose: "marketing", state: "granted" }]);
  const id = await idOf(context);
  await expect.poll(() => gate(id)).toEqual({ analytics: "granted", marketing: "granted" });
});

for (const key of ["wk_app", "wk_nobody"]) {
  test(`the tag stays off and says so: ${key}`, async ({ page }) => {
    shop.attributes = `data-write-key="${key}"`;
    const warned = page.waitForEvent("console", (message) => message.text().startsWith("jumelle:"));
    await page.goto(shop.url);
    expect((await warned).type()).toBe("warning");
    await consent(page, GRANT);
    await leave(page);
    expect(await kept(page)).toEqual(NOTHING);
    expect(sent()).toEqual([]);
  });
}

test("Google Consent Mode's updates are choices", async ({ page, context }) => {
  shop.head += "<script>window.dataLayer=window.dataLayer||[];function gtag(){dataLayer.push(arguments)}</script>";
  await visit(page);
  await page.evaluate(() => gtag("consent", "update", { analytics_storage: "granted", ad_storage: "granted", ad_user_data: "denied" }));
  const id = await idOf(context);
  await expect.poll(() => gate(id)).toEqual({ analytics: "granted", marketing: "denied" });
  const [, told] = await events(id);
  expect(told.context.consents[0].proof.method).toBe("consent_mode");
  // The same update on the next page is no new choice.
  await goOn(page, id);
  await page.evaluate(() => gtag("consent", "update", { analytics_storage: "granted", ad_storage: "granted", ad_user_data: "denied" }));
  await expect.poll(() => names(id)).toEqual(["page", "Consent Updated", "page"]);
  await page.evaluate(() => gtag("consent", "update", { analytics_storage: "denied" }));
  await expect.poll(() => gate(id)).toEqual({ analytics: "denied", marketing: "denied" });
  expect((await kept(page)).cookies).toEqual([]);
});

/**
 * Each platform as its vendor's pages show it (docs/guide/tag.md names them): before the banner is answered, after a yes, after a no.
 * What is shown there is literal, but for the category, which is called `statistics` everywhere.
 */
const PLATFORMS: Record<string, { head: string; choose: string }> = {
  onetrust: {
    head: "window.OnetrustActiveGroups=',C0001,statistics,';var answered=false;window.OneTrust={IsAlertBoxClosed:()=>answered,OnConsentChanged(){},GetDomainData(){}}",
    choose: "answered=true;OnetrustActiveGroups=yes?',C0001,statistics,':',C0001,';dispatchEvent(new CustomEvent('OneTrustGroupsUpdated',{detail:OnetrustActiveGroups.split(',').filter(Boolean)}))",
  },
  cookiebot: {
    // Given by the platform itself, where the site lets a visit count as a yes: no choice.
    head: "window.Cookiebot={hasResponse:true,consented:true,declined:false,doNotTrack:false,consent:{necessary:true,preferences:true,statistics:true,marketing:true,method:'implied'}}",
    choose: "Cookiebot.consent.method='explicit';Cookiebot.consent.statistics=yes;dispatchEvent(new Event('CookiebotOnConsentReady'))",
  },
  didomi: {
    head: "var asked=false,on=false;window.Didomi={shouldUserStatusBeCollected(){return this===Didomi&&!asked},shouldConsentBeCollected:()=>false,getCurrentUserStatus:()=>({purposes:{statistics:{id:'statistics',enabled:on}},vendors:{},regulation:'gdpr',created:'2026-11-28T10:00:00Z',updated:'2026-11-28T10:00:00Z'})};setTimeout(()=>didomiOnReady.forEach((call)=>call(Didomi)),100)",
    choose: "asked=true;on=yes;didomiEventListeners.forEach(({event,listener})=>event==='consent.changed'&&listener({}))",
  },
  "didomi, of before": {
    head: "var asked=false,on=true;window.Didomi={shouldConsentBeCollected:()=>!asked,getCurrentUserStatus:()=>({purposes:{statistics:{id:'statistics',enabled:on}}})};setTimeout(()=>didomiOnReady.forEach((call)=>call(Didomi)),100)",
    choose: "asked=true;on=yes;didomiEventListeners.forEach(({event,listener})=>event==='consent.changed'&&listener({}))",
  },
  axeptio: {
    // The cookie of a banner that was not finished, as it is found on pages.
    head: `var heard=null;(function ready(){window._axcb?_axcb.forEach((call)=>call({on:(event,listener)=>{if(event==='cookies:complete'){heard=listener;
      listener({$$token:'t1v1w821zpyn4r5rvtwdd',$$date:'2024-06-16T05:19:22.179Z',$$cookiesVersion:{},statistics:true,$$completed:false})}}})):setTimeout(ready,50)})()`,
    choose: "heard({$$token:'8uo4uk64dmazn5y3jjif1b',$$date:'2024-12-20T18:55:15.412Z',$$cookiesVersion:{name:'ga_fb_1637763626569',identifier:'619e4a2a1fb0a24610833704'},facebook_pixel:true,statistics:yes,$$completed:true})",
  },
  commanders_act: {
    head: "var listeners=[];window.cact=(method,call)=>{method==='consent.get'?call({meta:{version:'1.0',siteId:'1234'},consent:{status:'unset',categories:{1:{status:'on',required:true},statistics:{status:'unset'}},vendors:{}}}):listeners.push(call)}",
    choose: "listeners.forEach((call)=>call({updateEvent:yes?'set':'changed',consent:{status:'mixed',categories:{1:{status:'on',required:true},statistics:{status:yes?'on':'off'}}}}))",
  },
  "commanders_act, revoked": {
    head: "var listeners=[];window.cact=(method,call)=>{method==='consent.get'?call({error:{}}):listeners.push(call)}",
    choose: "listeners.forEach((call)=>call({updateEvent:yes?'set':'revoked',consent:{status:yes?'mixed':'unset',categories:{1:{status:'on',required:true},statistics:{status:yes?'on':'unset'}}}}))",
  },
};
for (const [platform, { head, choose }] of Object.entries(PLATFORMS)) {
  test(`the choice made with a consent platform is heard, and its default is none: ${platform}`, async ({ page, context }) => {
    shop.head += `<script>${head}</script>`;
    await visit(page);
    await page.waitForFunction("typeof heard === 'undefined' || heard");
    await page.waitForTimeout(300);
    expect(await kept(page)).toEqual(NOTHING);
    await page.evaluate(`{ const yes = true; ${choose} }`);
    const id = await idOf(context);
    await expect.poll(() => gate(id)).toEqual({ analytics: "granted" });
    const told = (await events(id)).find(({ event }) => event === "Consent Updated");
    expect(told.context.consents[0].proof.method).toBe(platform.split(",")[0]);
    await page.evaluate(`{ const yes = false; ${choose} }`);
    await expect.poll(() => gate(id)).toEqual({ analytics: "denied" });
    expect((await kept(page)).cookies).toEqual([]);
  });
}

test("a single-page application's moves are pages", async ({ page, context }) => {
  await visit(page, "/home");
  await consent(page, GRANT);
  const id = await idOf(context);
  const paths = async () => (await events(id)).filter(({ type }) => type === "page").map(({ properties }) => properties.path + properties.search);
  await page.evaluate(() => {
    history.pushState({}, "", "/shoes");
    document.title = "Shoes";
  });
  await expect.poll(paths).toEqual(["/home", "/shoes"]);
  // Neither a remembered scroll position nor a fragment is a page; a redirection is one.
  await page.evaluate(() => {
    history.replaceState({ scroll: 7 }, "", location.href);
    location.hash = "reviews";
    history.pushState({}, "", "/old");
    history.replaceState({}, "", "/new?size=42");
  });
  await expect.poll(paths).toEqual(["/home", "/shoes", "/new?size=42"]);
  await page.goBack();
  await page.goBack();
  await expect.poll(paths).toEqual(["/home", "/shoes", "/new?size=42", "/shoes"].concat((await paths()).slice(4)));
  const shoes = (await events(id)).find(({ properties }) => properties?.path === "/shoes");
  expect(shoes.properties).toMatchObject({ title: "Shoes", referrer: `${shop.url}/home` });
});

test("an existing GA4 data layer is read as it is", async ({ page, context }) => {
  shop.head = `<script>window.dataLayer=[];function gtag(){dataLayer.push(arguments)}
    gtag('js', new Date()); gtag('config', 'G-1'); gtag('event', 'page_view');
    dataLayer.push({event: 'gtm.js', 'gtm.start': 1});
    dataLayer.push({ecommerce: null});
    dataLayer.push({event: 'view_item', ecommerce: {currency: 'EUR', value: '129.90',
      items: [{item_id: 'sku-1', item_name: 'Runner', item_category: 'sneakers', price: '129.90', quantity: 1}]}});
    </script>${shop.head}`;
  await visit(page);
  await consent(page, GRANT);
  const length = await page.evaluate(() => {
    gtag("event", "purchase", { transaction_id: "o-1", value: 129.9, currency: "EUR", items: [{ item_id: "sku-1", price: 129.9, quantity: 1 }] });
    gtag("event", "newsletter_signup", { method: "footer" });
    return dataLayer.push({ event: "search", search_term: "boots" });
  });
  expect(length).toBe(9);
  const id = await idOf(context);
  await expect.poll(async () => (await names(id)).sort()).toEqual(
    ["page", "Product Viewed", "Consent Updated", "Order Completed", "newsletter_signup", "Products Searched"].sort(),
  );
  const of = async (name: string) => (await events(id)).find(({ event }) => event === name).properties;
  expect(await of("Product Viewed")).toMatchObject({
    product_id: "sku-1", name: "Runner", category: "sneakers", price: 129.9, currency: "EUR", total: 129.9,
    products: [{ product_id: "sku-1", price: 129.9 }],
  });
  expect(await of("Order Completed")).toMatchObject({ order_id: "o-1", total: 129.9, products: [{ product_id: "sku-1", quantity: 1 }] });
  expect(await of("Products Searched")).toEqual({ query: "boots" });
  // What others read in it is untouched.
  expect(await page.evaluate(() => dataLayer[5].ecommerce.items[0].item_id)).toBe("sku-1");
});

test("what happens offline survives a reload and arrives exactly once", async ({ page, context }) => {
  await visit(page);
  await consent(page, GRANT);
  const id = await idOf(context);
  await expect.poll(() => names(id)).toEqual(["page", "Consent Updated"]);
  await context.setOffline(true);
  await track(page, "Product Viewed");
  expect((await kept(page)).local.filter((key) => key.startsWith("jumelle.q."))).toHaveLength(1);
  shop.trouble = "cut";
  shop.troubles = 1_000;
  await context.setOffline(false);
  await visit(page, "/next");
  await expect.poll(() => shop.batches.length).toBeGreaterThan(1);
  shop.troubles = 0;
  await expect.poll(() => names(id)).toEqual(["page", "Consent Updated", "Product Viewed", "page"]);
  await expect.poll(async () => (await kept(page)).local).toEqual(["jumelle.choices"]);
});

test("after a 503 it waits as long as it was told, and sends exactly once", async ({ page, context }) => {
  await visit(page);
  await consent(page, GRANT);
  const id = await idOf(context);
  await expect.poll(() => names(id)).toEqual(["page", "Consent Updated"]);
  shop.trouble = { status: 503, retryAfter: 3 };
  shop.troubles = 1;
  await track(page, "Product Viewed");
  await expect.poll(() => shop.troubles).toBe(0);
  const refused = Date.now();
  await expect.poll(() => names(id)).toEqual(["page", "Consent Updated", "Product Viewed"]);
  // The first wait without Retry-After would be 1.2 s at most.
  expect(Date.now() - refused).toBeGreaterThan(2_500);
  const tries = shop.events.filter(({ event }) => event === "Product Viewed").map(({ messageId }) => messageId);
  expect(tries).toHaveLength(2);
  expect(new Set(tries).size).toBe(1);
});

test("a batch whose answer was lost counts once", async ({ page, context }) => {
  await visit(page);
  await consent(page, GRANT);
  const id = await idOf(context);
  await expect.poll(() => names(id)).toEqual(["page", "Consent Updated"]);
  shop.trouble = "cut after";
  // Chromium itself asks again when a kept connection breaks.
  shop.troubles = 2;
  await track(page, "Product Viewed");
  await expect.poll(async () => (await kept(page)).local).toEqual(["jumelle.choices"]);
  expect(shop.events.filter(({ event }) => event === "Product Viewed").length).toBeGreaterThan(1);
  expect(await names(id)).toEqual(["page", "Consent Updated", "Product Viewed"]);
});

test("a page that is closed hands over what waits by a beacon, once", async ({ page, context }) => {
  await visit(page);
  await consent(page, GRANT);
  const id = await idOf(context);
  await expect.poll(() => names(id)).toEqual(["page", "Consent Updated"]);
  await page.evaluate((url) => {
    jumelle.track("Left");
    location.href = url;
  }, `${shop.url}/away`);
  await expect.poll(() => names(id)).toContain("Left");
  const beacon = shop.batches.find(({ body }) => body.includes('"Left"'));
  expect(beacon?.headers["sec-fetch-mode"]).toBe("no-cors");
  expect(beacon?.headers["content-type"]).toMatch(/^text\/plain/);
  // The next page sends it again, as it never saw an answer; the server knows it.
  await expect.poll(async () => (await kept(page)).local).toEqual(["jumelle.choices"]);
  expect((await names(id)).filter((name) => name === "Left")).toHaveLength(1);
});

test("two tabs are one browser, send nothing twice, and stop together", async ({ page, context }) => {
  await visit(page);
  const other = await context.newPage();
  await visit(other, "/second");
  await consent(page, GRANT);
  const id = await idOf(context);
  await Promise.all([page, other].flatMap((tab, n) => [track(tab, `A${n}`), track(tab, `B${n}`)]));
  await expect.poll(async () => (await names(id)).sort()).toEqual(["A0", "A1", "B0", "B1", "Consent Updated", "page", "page"]);
  const ids = shop.events.map(({ messageId }) => messageId);
  expect(new Set(ids).size).toBe(ids.length);
  expect(new Set(shop.events.map(({ anonymousId }) => anonymousId))).toEqual(new Set([id]));
  await consent(page, DENY);
  await track(other, "Too Late");
  await expect.poll(() => gate(id)).toEqual({ analytics: "denied" });
  await leave(other);
  expect(await names(id)).not.toContain("Too Late");
});

test("identify is remembered, reset begins anew and tells the new id's consents", async ({ page, context }) => {
  await visit(page);
  await consent(page, GRANT);
  await page.evaluate(() => jumelle.identify("u-7", { city: "Lille" }));
  await visit(page, "/next");
  const id = await idOf(context);
  // A request that the visit cut off is sent again, after a pause.
  await expect.poll(async () => (await events(id)).at(-1), { timeout: 30_000 }).toMatchObject({ type: "page", userId: "u-7" });
  await page.evaluate(() => jumelle.reset());
  const next = await idOf(context);
  expect(next).not.toBe(id);
  await track(page, "Product Viewed");
  await expect.poll(() => names(next)).toEqual(["Consent Updated", "Product Viewed"]);
  expect((await events(next)).every(({ userId }) => userId === undefined)).toBe(true);
  expect(await gate(next)).toEqual({ analytics: "granted" });
});

test("calls before the tag is there are taken", async ({ page, context }) => {
  shop.head += `<script>jumelle.track("Early"); jumelle.consent([{purpose: "analytics", state: "granted"}]);</script>`;
  await visit(page);
  const id = await idOf(context);
  await expect.poll(async () => (await names(id)).sort()).toEqual(["Consent Updated", "Early", "page"]);
});

test("a consent for an address goes to the address and opens nothing in the browser", async ({ page, context }) => {
  await visit(page);
  await consent(page, [{ purpose: "analytics", channel: "email", state: "granted" }]);
  expect(await kept(page)).toEqual(NOTHING);
  await consent(page, [...GRANT, { purpose: "marketing", channel: "email", state: "granted", for: { email: "ana@example.org" } } as object]);
  const id = await idOf(context);
  await expect.poll(() => gate("ana@example.org", "email")).toEqual({ "marketing/email": "granted" });
  // The first one waited in memory with everything else.
  expect(await gate(id)).toEqual({ analytics: "granted", "analytics/email": "granted" });
  expect(await page.evaluate(() => localStorage["jumelle.choices"])).not.toContain("ana@");
});

test("the queue is bounded: the oldest go first", async ({ page, context }) => {
  await visit(page);
  await consent(page, GRANT);
  await idOf(context);
  await expect.poll(async () => (await kept(page)).local).toEqual(["jumelle.choices"]);
  await context.setOffline(true);
  await page.evaluate(() => {
    for (let n = 0; n < 510; n++) jumelle.track(`E${n}`);
  });
  const waiting = await page.evaluate(() => Object.keys(localStorage).filter((key) => key.startsWith("jumelle.q.")).map((key) => localStorage[key]));
  expect(waiting).toHaveLength(500);
  expect(waiting.some((event) => event.includes('"E509"'))).toBe(true);
});

test("a choice of more than 13 months ago is none", async ({ page }) => {
  const at = new Date(Date.now() - 396 * DAY_S * 1000).toISOString();
  const choices = JSON.stringify({ analytics: { purpose: "analytics", state: "granted", at } });
  await page.addInitScript((choices) => localStorage.setItem("jumelle.choices", choices), choices);
  await visit(page);
  expect(await page.evaluate(() => new Promise((done) => jumelle.ready(done)))).toEqual({});
  expect((await kept(page)).cookies).toEqual([]);
});

test("the settings keep what Segment's SDK asks for", async () => {
  const settings = await server.api("/v1/projects/wk_site/settings");
  expect(settings.integrations["Segment.io"].apiKey).toBe("wk_site");
  expect(settings.jumelle).toMatchObject({
    requires: ["analytics"],
    purposes: { analytics: { basis: "consent", gcm: ["analytics_storage"], gpc: true }, audience: { basis: "legitimate_interest", gpc: false } },
    cookie_days: 395,
  });
});

test("the tag as Jumelle serves it weighs 6 KiB at most, compressed, and is not sent again while it is the same", async () => {
  const ask = (headers: Record<string, string>) =>
    new Promise<{ status: number; headers: Record<string, unknown>; bytes: number }>((done, fail) =>
      get(`${server.url}/tag.js`, { headers }, (answer) => {
        let bytes = 0;
        answer.on("data", (chunk) => (bytes += chunk.length));
        answer.on("end", () => done({ status: answer.statusCode ?? 0, headers: answer.headers, bytes }));
      }).on("error", fail),
    );
  const first = await ask({ "accept-encoding": "gzip" });
  expect(first).toMatchObject({ status: 200, headers: { "content-encoding": "gzip", "cache-control": expect.stringContaining("max-age=") } });
  expect(first.bytes).toBeLessThanOrEqual(6 * 1024);
  expect(await ask({ "if-none-match": String(first.headers["etag"]) })).toMatchObject({ status: 304, bytes: 0 });
});
