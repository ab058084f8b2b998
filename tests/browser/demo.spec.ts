// The demo's shop in the console: every page with the data that a newcomer sees, in both languages, schemes and sizes, with axe.
// `make screenshots` (SCREENSHOTS=docs/images) keeps two of them for the README, so that they stay true.

import { spawn } from "node:child_process";
import { mkdirSync } from "node:fs";
import { join, resolve } from "node:path";
import { createInterface } from "node:readline";
import { expect, type Page, test } from "@playwright/test";
import { DESK, expectAccessible, expectFits, LOOKS, PHONE } from "./console.ts";
import { BINARY } from "./server.ts";

const SCREENSHOTS = process.env.SCREENSHOTS && resolve(import.meta.dirname, "../..", process.env.SCREENSHOTS);
/** The shop fills for this long before the screenshots, so that their charts show a shop at work. */
const SETTLE_MS = SCREENSHOTS ? 150_000 : 0;

let url = "";
let token = "";
let person = "";
let stop: () => Promise<void>;

const get = async (path: string) => (await fetch(url + path, { headers: { authorization: `Bearer ${token}` } })).json();

test.beforeAll(async () => {
  test.setTimeout(120_000 + SETTLE_MS);
  const { JUMELLE_ADMIN_TOKEN: _, ...env } = process.env;
  const demo = spawn(BINARY, ["demo", "--lang", "en", "--listen", "127.0.0.1:18100", ...(SCREENSHOTS ? [] : ["--people", "1500"])], {
    stdio: ["ignore", "pipe", "inherit"], env,
  }); // prettier-ignore
  const ended = new Promise<void>((done) => demo.once("exit", () => done()));
  stop = async () => {
    demo.kill("SIGINT");
    await ended;
  };
  await new Promise<void>((ready, failed) => {
    demo.once("exit", (code) => failed(new Error(`the demo ended with ${code}`)));
    createInterface({ input: demo.stdout }).on("line", (line) => {
      const found = /(http:\/\/[\d.:]+)\/#token=(\w+)/.exec(line);
      if (found) [, url, token] = found as unknown as [string, string, string];
      if (line.includes("Ctrl-C")) ready();
    });
  });
  await expect.poll(async () => (await get("/v1/deliveries?state=sent&limit=1")).items.length, { timeout: 60_000 }).toBe(1);
  // Somebody with something in each part of her page: a web visit, a purchase in a store, a message.
  const members = (await get("/v1/segments/web_to_store/members?limit=200")).items as { profile: string; label: string | null }[];
  let most = -1;
  for (const { profile } of members.filter(({ label }) => label?.includes("@")).slice(0, 60)) {
    const [her, deliveries] = await Promise.all([get(`/v1/profiles/${profile}`), get(`/v1/profiles/${profile}/deliveries`)]);
    const worth = Math.min(deliveries.items.length, 4) * 10 + her.segments.length * 5 + Math.min(her.events, 60);
    if (worth > most && her.identifiers.length < 12) [most, person] = [worth, profile];
  }
  await new Promise((wake) => setTimeout(wake, SETTLE_MS));
});

test.afterAll(() => stop?.());

/** Signed in by the link that the demo prints. */
async function open(page: Page, path: string): Promise<void> {
  await page.goto(`${url}/#token=${token}`);
  await expect(page.locator("h1")).toBeVisible();
  await page.goto(url + path);
  await expect(page.locator("h1")).toBeVisible();
  await page.waitForLoadState("load");
}

const PAGES = [
  ["home", () => "/"],
  ["live", () => "/live"],
  ["quarantine", () => "/quarantine"],
  ["people", () => "/people"],
  ["person", () => `/people/${person}`],
  ["segments", () => "/segments"],
  ["segment", () => "/segments/sneakers_undecided"],
  ["destinations", () => "/destinations"],
  ["destination", () => "/destinations/mail_tool"],
] as const;

for (const [name, path] of PAGES) {
  for (const { language, locale, scheme } of LOOKS) {
    for (const [device, viewport] of [["desk", DESK], ["phone", PHONE]] as const) {
      test(`${name}, ${language}, ${scheme}, ${device}`, async ({ browser }, info) => {
        const context = await browser.newContext({ locale, colorScheme: scheme, viewport });
        const page = await context.newPage();
        await open(page, path());
        await expectFits(page);
        await expectAccessible(page);
        await info.attach(name, { body: await page.screenshot(), contentType: "image/png" });
        await context.close();
      });
    }
  }
}

if (SCREENSHOTS) test("the README's screenshots", async ({ browser }) => {
  mkdirSync(SCREENSHOTS, { recursive: true });
  for (const [name, path, scheme] of [["home", "/", "light"], ["person", `/people/${person}`, "light"]] as const) {
    const context = await browser.newContext({ locale: "en-GB", colorScheme: scheme, viewport: DESK });
    const page = await context.newPage();
    await open(page, path);
    // The charts are drawn once their code is there.
    await page.waitForTimeout(1_500);
    await page.screenshot({ path: join(SCREENSHOTS, `${name}.png`) });
    await context.close();
  }
});
