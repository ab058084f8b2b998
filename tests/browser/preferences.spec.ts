// The preference centre, as a person meets it: by a link, without an account, without a script.

import { expect, test as base } from "@playwright/test";
import { expectAccessible, expectFits } from "./console.ts";
import { type Server, startServer } from "./server.ts";

const WORKSPACE = `
workspace: {key: maison, locale: fr, timezone: Europe/Paris, currency: EUR}
sources: {site: {kind: web, write_key: wk_site}}
preferences:
  name: Maison Lumière
  colour: "#7a1f2b"
  contact: dpo@maison.example
  notice: https://maison.example/donnees
  frequencies: [{max: 1, within: 7d}, {max: 1, within: 30d}]
  fields:
    shoe_size: {label: {fr: Pointure, en: Shoe size}, options: ["41", "42", "43"]}
    interests: {label: {fr: Vos envies, en: Interests}, options: {sneakers: {fr: Baskets, en: Sneakers}, boots: {fr: Bottes, en: Boots}}, many: true}
    favourite_store: {label: {fr: Boutique préférée, en: Favourite store}, options: [Lille, Paris]}
purposes:
  news: {basis: consent, label: {fr: Nouveautés, en: News}, texts: [{version: "1", fr: "Nous vous écrivons quand une collection arrive.", en: "We write to you when a collection arrives."}]}
  service: {basis: contract, label: {fr: Suivi de commande, en: Order updates}}
`;

const test = base.extend<object, { shop: Server }>({
  shop: [
    async ({}, use) => {
      const shop = await startServer({ workspace: WORKSPACE });
      await shop.api("/v1/consents", {
        method: "POST",
        body: JSON.stringify({
          identifiers: { email: "ana@example.org", phone: "+33612345678" },
          consents: [{ purpose: "news", channel: "email", state: "granted" }],
        }),
      });
      await use(shop);
      await shop.stop();
    },
    { scope: "worker" },
  ],
});

async function link(shop: Server, scope: string): Promise<string> {
  const body = JSON.stringify({ identifier: "email:ana@example.org", scope, ...(scope === "unsubscribe" ? { purpose: "news" } : {}) });
  return (await shop.api<{ path: string }>("/v1/links", { method: "POST", body })).path;
}

for (const { locale, javaScriptEnabled } of [
  { locale: "fr-FR", javaScriptEnabled: true },
  { locale: "en-GB", javaScriptEnabled: true },
  { locale: "fr-FR", javaScriptEnabled: false },
]) {
  test(`choices are made in ${locale}, ${javaScriptEnabled ? "with" : "without"} scripts`, async ({ browser, shop }, info) => {
    const french = locale.startsWith("fr");
    const context = await browser.newContext({ baseURL: shop.url, locale, javaScriptEnabled, viewport: { width: 900, height: 1000 } });
    const page = await context.newPage();
    const complaints: string[] = [];
    page.on("console", (message) => complaints.push(message.text()));
    await page.goto(await link(shop, "preferences"));
    await expect(page.getByRole("heading", { level: 1, name: french ? "Vos préférences" : "Your preferences" })).toBeVisible();
    await expect(page.getByText("a•••@example.org")).toBeVisible();
    const mail = page.getByRole("radiogroup", { name: "E-mail" });
    await mail.getByLabel(french ? "Non" : "No", { exact: true }).check();
    await page.getByLabel(french ? "Pointure" : "Shoe size").selectOption("42");
    await page.getByLabel(french ? "Bottes" : "Boots").check();
    await page.getByLabel(french ? "Fréquence" : "Frequency").selectOption("1/30d");
    await page.getByRole("button", { name: french ? "Enregistrer" : "Save" }).click();
    await expect(page.getByRole("status")).toBeVisible();
    await expect(mail.getByLabel(french ? "Non" : "No", { exact: true })).toBeChecked();
    const { items } = await shop.api<{ items: { state: string; channel: string }[] }>("/v1/profiles/email:ana@example.org/consents");
    expect(items.find((item) => item.channel === "email")?.state).toBe("denied");
    if (javaScriptEnabled) {
      await expectAccessible(page);
      await page.screenshot({ path: info.outputPath(`preferences-${locale}.png`), fullPage: true });
      await page.setViewportSize({ width: 360, height: 740 });
      await expectFits(page);
    }
    // A style or an image that the policy refused would be told here.
    expect(complaints).toEqual([]);
    await mail.getByLabel(french ? "Oui" : "Yes", { exact: true }).check();
    await page.getByRole("button", { name: french ? "Enregistrer" : "Save" }).click();
    await expect(page.getByRole("status")).toBeVisible();
    await context.close();
  });
}

test("a button unsubscribes, and a broken link says what to do", async ({ browser, shop }) => {
  const context = await browser.newContext({ baseURL: shop.url, locale: "fr-FR" });
  const page = await context.newPage();
  const path = await link(shop, "unsubscribe");
  await page.goto(path);
  await expectAccessible(page);
  await page.getByRole("button", { name: "Me désabonner" }).click();
  await expect(page.getByRole("status")).toContainText("Vous êtes désabonné(e)");
  await expectAccessible(page);
  await page.goto(path.slice(0, -5));
  await expect(page.getByRole("heading", { name: "Lien non valable" })).toBeVisible();
  await expectAccessible(page);
  await context.close();
});
