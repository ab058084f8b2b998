// What whoever watches over consent sees, with the token of her role: counts, tools, requests, proof, versions; and no marketing.

import { type Page } from "@playwright/test";
import { DESK, expect, expectAccessible, expectFits, LOOKS, PHONE, type Look } from "./console.ts";
import { REFUSED, test as maisonTest } from "./maison.ts";

const PARTS = ["/privacy?aged=weak&of=marketing&on=email", "/privacy/tools", "/privacy/retention", "/privacy/requests", "/privacy/proof?identifier=email%3Aana%40example.org", "/privacy/reductions", "/privacy/policies"];

/** Pages as the data protection officer sees them. */
const test = maisonTest.extend<{ officer: (path: string, look?: Partial<Look> & { size?: typeof DESK }) => Promise<Page> }, { token: string }>({
  token: [
    async ({ maison }, use) => {
      const json = { method: "POST", headers: { "content-type": "application/json" } };
      const { token } = await maison.api("/v1/tokens", { ...json, body: JSON.stringify({ name: "dpo", role: "privacy" }) });
      // Ana wants a copy, and nobody has checked yet that it is she who asks.
      await maison.api("/v1/privacy/restrict", { ...json, body: JSON.stringify({ identifier: "email:diego@example.org" }) });
      await use(token);
    },
    { scope: "worker" },
  ],
  officer: async ({ browser, maison, token }, use) => {
    const opened: Page[] = [];
    await use(async (path, { locale = "en-GB", scheme = "light", size = DESK } = {}) => {
      const context = await browser.newContext({ baseURL: maison.url, locale, colorScheme: scheme, viewport: size, timezoneId: "Europe/Paris" });
      expect((await context.request.post("/v1/session", { data: { token } })).status()).toBe(204);
      const page = await context.newPage();
      page.on("pageerror", (error) => {
        throw error;
      });
      await page.goto(path);
      await expect(page.locator("h1")).toBeVisible();
      opened.push(page);
      return page;
    });
    for (const page of opened) await page.context().close();
  },
});

test("the officer begins here, and marketing is neither shown nor opened", async ({ officer }) => {
  const page = await officer("/");
  await expect(page).toHaveURL(/\/privacy$/);
  const navigation = page.getByRole("navigation", { name: "Main" });
  await expect(navigation.getByRole("link")).toHaveText(["People", "Deliveries", "Privacy"]);
  for (const path of ["/segments", "/segments/loyal_lille", "/live", "/destinations/mail_tool", "/connectors", "/quarantine", "/health"]) {
    await page.goto(path);
    await expect(page.getByRole("heading", { level: 1, name: "This page is not for you" }), path).toBeVisible();
  }
});

test("the counts are those of the shop's people", async ({ officer, maison }) => {
  const page = await officer("/privacy");
  const { census } = await maison.api("/v1/privacy/consents?fresh=true");
  await page.getByRole("button", { name: "Count again" }).click();
  const state = page.getByRole("region", { name: "Consent by purpose and channel" }).first();
  const row = (purpose: string, channel: string) => state.getByRole("row").filter({ hasText: purpose }).filter({ hasText: channel });
  const numbers = (granted: number, denied: number, reachable: number) =>
    [granted, denied, census.people - granted - denied, reachable].map((count) => new Intl.NumberFormat("en-GB").format(count));
  // Ana granted e-mail, Bruno refused it; the Chloés granted analytics as a whole.
  await expect(row("marketing", "e-mail").locator("td.num")).toHaveText(numbers(1, 1, 1));
  await expect(row("analytics", "display").locator("td.num")).toHaveText(numbers(REFUSED, 0, REFUSED));
  await page.getByRole("combobox", { name: "Purpose", exact: true }).selectOption("marketing");
  await expect(page).toHaveURL(/purpose=marketing/);
  await expect(page.getByText("1 granted, 2 refused, 0 withdrawn.").last()).toBeVisible();
});

test("tools say what was held back and why", async ({ officer }) => {
  const page = await officer("/privacy/tools");
  await expect(page.getByRole("region", { name: "Withdrawals by tool" }).first().getByRole("row").filter({ hasText: "mail_tool" })).toBeVisible();
  await expect(page.getByRole("region", { name: "Held back, by reason" }).first()).toContainText("No choice known for marketing by e-mail");
});

test("a request is done step by step, with its deadline", async ({ officer, maison }) => {
  // Diego asks by the link in a message: that it is he who asks, somebody still has to see.
  const json = { method: "POST", headers: { "content-type": "application/json" } };
  const { path } = await maison.api("/v1/links", { ...json, body: JSON.stringify({ identifier: "email:diego@example.org", scope: "preferences" }) });
  for (const asked of ["do=access", "do=erase&sure=1"]) {
    const answer = await fetch(maison.url + path, { method: "POST", headers: { "content-type": "application/x-www-form-urlencoded" }, body: asked });
    expect(answer.status, asked).toBe(200);
  }
  const page = await officer("/privacy/requests");
  const row = (right: string) => page.getByRole("group", { name: "To answer" }).getByRole("row").filter({ hasText: right });
  const step = async (right: string, button: string, option?: string) => {
    await row(right).getByRole("button", { name: button }).click();
    const dialog = page.getByRole("dialog");
    if (option) await dialog.getByRole("combobox").first().selectOption(option);
    await dialog.getByRole("button", { name: button }).click();
    await expect(dialog).toHaveCount(0);
  };
  await expect(row("Access")).toContainText("not checked");
  await expect(row("Access")).toContainText(/(2[7-9]|3[01]) days left/);
  await expect(row("Access").getByRole("button", { name: "Fulfil" })).toBeDisabled();
  await step("Access", "Extend", "there are many requests");
  await expect(row("Access")).toContainText(/(5[7-9]|6[0-2]) days left/);
  await step("Access", "Identity checked", "in person");
  await expect(row("Access")).toContainText("in person");
  await step("Access", "Fulfil");
  await expect(row("Access")).toHaveCount(0);
  await step("Erasure", "Refuse", "excessive");
  const settled = page.getByRole("group", { name: "Settled" });
  await expect(settled.getByRole("row").filter({ hasText: "Erasure" })).toContainText("refused · excessive");
  await expect(settled.getByRole("row").filter({ hasText: "Access" })).toContainText("in person");
  await expect(settled.getByRole("row").filter({ hasText: "Restriction" })).toContainText("done");
});

test("a proof is found, downloaded and verified", async ({ officer }) => {
  const page = await officer("/privacy/proof");
  await page.getByRole("textbox", { name: /^Person: / }).fill("email:ana@example.org");
  await page.getByRole("button", { name: "Show the proof" }).click();
  await expect(page).toHaveURL(/identifier=email/);
  await expect(page.getByRole("region", { name: "What was chosen" }).first()).toContainText("wording: v4");
  await expect(page.getByRole("region", { name: "What was sent" }).first()).toContainText("mail_tool");
  const [download] = await Promise.all([page.waitForEvent("download"), page.getByRole("link", { name: "PDF in French" }).click()]);
  expect(download.suggestedFilename()).toMatch(/\.pdf$/);
  const stream = await download.createReadStream();
  const start = await new Promise<Buffer>((done) => stream.once("data", (chunk) => done(chunk as Buffer)));
  expect(start.subarray(0, 5).toString()).toBe("%PDF-");
  await page.getByRole("button", { name: "Verify everything" }).click();
  await expect(page.getByText("Nothing was changed, removed or inserted.")).toBeVisible();
});

test("without a clock for people who do nothing, the page says how to have one", async ({ officer }) => {
  const page = await officer("/privacy/retention");
  await expect(page.getByText("No clock for people who do nothing")).toBeVisible();
});

test("what is reduced on the way in is counted, beside the rule that did it", async ({ officer, maison }) => {
  const visit = (event: string) => ({ type: "track", event, anonymousId: "nobody-in-particular" });
  const body = JSON.stringify({ writeKey: "wk_kiosk", batch: [visit("Product Viewed"), visit("Product Viewed"), visit("Cart Viewed")] });
  const answer = await fetch(`${maison.url}/v1/batch`, { method: "POST", headers: { "content-type": "application/json" }, body });
  expect(await answer.json()).toMatchObject({ accepted: 3, reduced: 3 });
  await expect.poll(async () => (await maison.api("/v1/privacy/reductions")).days.length).toBe(1);
  const page = await officer("/privacy/reductions");
  const counts = page.getByRole("region", { name: "Reduced on the way in" }).first();
  await expect(counts.getByRole("row").filter({ hasText: "Product Viewed" })).toContainText("a count");
  await expect(counts.getByRole("row").filter({ hasText: "Product Viewed" }).locator("td.num")).toHaveText(["2", "2"]);
  const rule = page.getByRole("region", { name: "Rules of the sources" }).first().getByRole("row").filter({ hasText: "kiosk" });
  await expect(rule).toContainText("not granted");
  await expect(rule).toContainText("all but Order Completed");
});

test("each version of the policy says who brought it and what it changed", async ({ officer, maison }) => {
  const path = "/v1/purposes/marketing";
  await maison.api(path, { method: "PUT", headers: { "content-type": "application/yaml" }, body: "{basis: consent, expires_after: 400d}" });
  const page = await officer("/privacy/policies");
  const newest = page.getByRole("listitem").filter({ hasText: "in force" });
  await expect(newest).toContainText("expires_after none → 400d");
  await expect(page.getByRole("listitem").filter({ hasText: "The first version" })).toContainText("by workspace.yaml");
});

test("how consent stood is drawn, and a number of weak grants leads to the people behind it", async ({ officer, maison }) => {
  const json = { method: "POST", headers: { "content-type": "application/json" } };
  for (let n = 0; n < 51; n++) {
    const identifiers = { email: `import-${n}@example.org` };
    await maison.api("/v1/consents", { ...json, body: JSON.stringify({ identifiers, consents: [{ purpose: "marketing", channel: "email", state: "granted", undated: true }] }) });
  }
  const weak = async () => (await maison.api("/v1/privacy/consents?fresh=true")).census.reach.find((row: any) => row.purpose === "marketing" && row.channel === "email").weak;
  await expect.poll(weak, { timeout: 30_000, intervals: [1_000] }).toBe(51);
  const page = await officer("/privacy?stock=marketing%2Femail");
  const stock = page.getByRole("region", { name: "Consent over time" }).first();
  await expect(stock.getByText(/At the last count: 52 granted, 1 refused/).last()).toBeVisible();
  await stock.getByRole("button", { name: "Show as a table" }).click();
  await expect(stock.getByRole("row").last().locator("td.num").first()).toHaveText("52");
  const ageing = page.getByRole("region", { name: "Weak and ageing consents" }).first();
  await ageing.getByRole("row").filter({ hasText: "e-mail" }).getByRole("link", { name: "51", exact: true }).click();
  await expect(page).toHaveURL(/aged=weak&of=marketing&on=email/);
  const people = page.getByRole("region", { name: /^Undated import · marketing/ }).first();
  await expect(people.getByRole("row")).toHaveCount(51);
  await people.getByRole("button", { name: "Next" }).click();
  await expect(people.getByRole("row")).toHaveCount(2);
  await people.getByRole("link", { name: /^import-\d+@example.org$/ }).click();
  await expect(page).toHaveURL(/\/people\//);
});

test("whom no purpose keeps any more is counted and listed", async ({ officer, maison }) => {
  const definitions = await maison.api("/v1/workspace");
  for (const purpose of Object.values<any>(definitions.purposes)) purpose.retention = "60d";
  definitions.policy = { prospects: { after: "1095d", then: "report" }, retention: { then: "report" } };
  await maison.api("/v1/workspace", { method: "PUT", headers: { "content-type": "application/yaml" }, body: JSON.stringify(definitions) });
  const timestamp = new Date(Date.now() - 100 * 86_400_000).toISOString();
  const body = JSON.stringify({ writeKey: "wk_site", batch: [{ type: "page", anonymousId: "long-ago", timestamp, properties: { path: "/" } }] });
  expect((await fetch(`${maison.url}/v1/batch`, { method: "POST", headers: { "content-type": "application/json" }, body })).status).toBe(200);
  await expect.poll(async () => (await maison.api("/v1/privacy/retention?fresh=true")).clocks?.past_every, { timeout: 30_000, intervals: [1_000] }).toBe(1);
  const page = await officer("/privacy/retention");
  await page.getByRole("button", { name: "Count again" }).click();
  const purposes = page.getByRole("region", { name: "By purpose" }).first();
  await expect(purposes.getByRole("row").filter({ hasText: "marketing" })).toContainText("60 days");
  await expect(purposes.getByRole("row").filter({ hasText: "Beyond every retention" }).locator("td.num")).toHaveText("1");
  const listed = page.getByRole("region", { name: "Beyond every retention" }).first();
  await expect(listed.getByRole("columnheader")).toHaveText(["Person", "Since"]);
  await expect(listed.getByRole("row")).toHaveCount(2);
  await expect(page.getByText("After 1,095 days without an act", { exact: false })).toBeVisible();
});

for (const look of LOOKS)
  for (const size of [DESK, PHONE])
    test(`every part is accessible and fits, ${look.language}, ${size.width} px`, async ({ officer }, info) => {
      for (const path of PARTS) {
        const page = await officer(path, { ...look, size });
        await expect(page.getByRole("status", { name: /Loading|Chargement/ })).toHaveCount(0);
        await expectFits(page);
        await expectAccessible(page);
        const name = path.replace(/\W+/g, "-").slice(1, 20);
        await page.screenshot({ path: info.outputPath(`${name}-${look.language}-${size.width}.png`), fullPage: true });
      }
    });
