// One person: found by any identifier, what both eyes saw, what we may do and why, what was done.

import { type Page } from "@playwright/test";
import { DESK, expect, expectAccessible, expectFits, LOOKS, PHONE } from "./console.ts";
import { test } from "./maison.ts";

const panel = (page: Page, name: string) => page.getByRole("region", { name, exact: true });
const ANA = "/people/email:ana@example.org";

test("a person is found from the keyboard alone, and the way goes on by keyboard", async ({ visit }) => {
  const page = await visit("/segments");
  await page.keyboard.press("/");
  await page.keyboard.type("2900417733");
  await page.keyboard.press("Enter");
  await expect(page).toHaveURL(/\/people\?query=2900417733$/);
  await expect(page.getByRole("link", { name: "Ana Lefèvre" })).toBeFocused();
  await page.keyboard.press("Enter");
  await expect(page.getByRole("heading", { level: 1, name: "Ana Lefèvre" })).toBeVisible();
  await expect(panel(page, "Time line")).toBeVisible();

  // To the first event of the time line, its details, and back to where one was.
  const first = panel(page, "Time line").getByRole("button", { name: /Screen Wishlist/ });
  for (let presses = 0; presses < 80 && !(await first.evaluate((one) => one === document.activeElement)); presses++) await page.keyboard.press("Tab");
  await expect(first).toBeFocused();
  await page.keyboard.press("Enter");
  const details = page.getByRole("dialog", { name: "Screen Wishlist" });
  await expect(details).toContainText("phone-19c2");
  await page.keyboard.press("Escape");
  await expect(details).toBeHidden();
  await expect(first).toBeFocused();
});

test("who finds nobody asks again from the keyboard", async ({ visit }) => {
  const page = await visit("/people?query=sneakers-nobody");
  await expect(page.getByText("Nobody is known by “sneakers-nobody”")).toBeVisible();
  await page.keyboard.press("/");
  await page.keyboard.type("Lefèvre");
  await page.keyboard.press("Enter");
  await expect(page.getByText("1 person found")).toBeVisible();
});

for (const query of ["ana@example.org", "ANA@example.org", "+33612345678", "phone:0612345678", "browser-7f3a", "user_id:u-1024"]) {
  test(`Ana is found by ${query}`, async ({ visit }) => {
    const page = await visit(`/people?query=${encodeURIComponent(query)}`);
    await expect(page.getByRole("link", { name: "Ana Lefèvre" })).toBeVisible();
  });
}

test("the essence is on the desk's first screen", async ({ visit }) => {
  const page = await visit(ANA);
  await expect(panel(page, "May we?")).toContainText("sneakers_mail");
  // At a call: who, how to reach her, what she spent, her segments, what we may send, her choices.
  for (const one of [
    page.getByText("+33612345678").first(),
    page.getByText("€124.40").first(),
    page.getByRole("list", { name: "Segments" }).getByRole("link", { name: "Loyal in Lille" }),
    panel(page, "May we?").getByText("sneakers_mail"),
    panel(page, "May we?").getByText("unhappy_calls"),
    panel(page, "Consents").getByRole("columnheader", { name: /marketing/ }),
    panel(page, "Time line").getByRole("button").first(),
  ]) {
    await expect(one).toBeInViewport();
  }
});

test("both eyes are on one time line, and what followed between them", async ({ visit }) => {
  const page = await visit(ANA);
  const line = panel(page, "Time line");
  const left = async (name: RegExp) => (await line.getByRole("button", { name }).first().boundingBox())?.x ?? NaN;
  const film = await left(/Product Viewed.*Canvas High/);
  expect(await left(/Order Completed.*Chelsea boots/)).toBeLessThan(film);
  expect(await left(/Call Ended/)).toBeLessThan(film);
  expect(await left(/Survey Answered/)).toBeLessThan(film);
  expect(await left(/Screen Wishlist/)).toBe(film);
  await expect(line.getByRole("button", { name: /Order Completed.*€34.50/ })).toBeVisible();
  await expect(line.getByText("Entered Undecided about sneakers")).toBeVisible();
  await expect(line.getByText("sneakers_mail entered the segment")).toBeVisible();
});

test("a link to an event opens it", async ({ visit }) => {
  const page = await visit(ANA);
  await panel(page, "Time line").getByRole("button", { name: /Call Ended/ }).click();
  await expect(page.getByRole("dialog", { name: "Call Ended" })).toBeVisible();
  const link = new URL(page.url());
  const other = await visit(link.pathname + link.search);
  await expect(other.getByRole("dialog", { name: "Call Ended" })).toContainText("Lille-3");
});

test("the identifiers say how they came together", async ({ visit }) => {
  const page = await visit(ANA);
  const identity = panel(page, "Identifiers");
  await identity.getByText("How they came together").click();
  await expect(identity).toContainText("made of 2 profiles");
  // The receipt made one person, the browser another; the sign-up named both. Five events came along: the page, three looks, a basket.
  await expect(identity.getByRole("listitem").filter({ hasText: "two people turned out to be one" })).toContainText("5 events came along");
  await expect(identity.getByRole("listitem").filter({ hasText: "came with" }).first()).toContainText("phone +33612345678");
});

test("segments say why, in the reader's language, and until when", async ({ visit }) => {
  const page = await visit(ANA, LOOKS[0]);
  const segments = panel(page, "Segments");
  await expect(segments).toContainText("« Product Viewed » où category = « sneakers », au moins 3 fois");
  await expect(segments).toContainText("le trait city = « Lille »");
  await expect(segments).toContainText(/En sort le \d+ \S+ \d{4}/);
});

test("the gate says open or closed, why, and what would change it", async ({ visit }) => {
  const page = await visit(ANA);
  const line = (activation: string) => panel(page, "May we?").getByRole("listitem").filter({ hasText: activation });
  await expect(line("sneakers_mail")).toContainText(/Open.*Granted .*\(site\)/);
  await expect(line("loyal_sms")).toContainText(/Closed.*Refused marketing by SMS since .*It opens only if the person grants it again/);
  await expect(line("sneakers_ads")).toContainText("No choice known for analytics by display advertising");
  await expect(line("unhappy_calls")).toContainText("Nobody objected (contract)");
});

test("a consent shows its proof, at an address of its own", async ({ visit }) => {
  const page = await visit(ANA);
  const consents = panel(page, "Consents");
  await expect(consents.getByRole("row", { name: /SMS/ }).getByRole("button", { name: /^denied, marketing, SMS, the person/ })).toBeVisible();
  await consents.getByRole("button", { name: /^granted, marketing, e-mail, email ana@example.org/ }).click();
  const proof = page.getByRole("dialog", { name: "Proof of a choice" });
  await expect(proof).toContainText(/Receipt\s*r_[0-9a-f]{32}/);
  await expect(proof).toContainText('"wording": "v4"');
  await expectAccessible(page);
  expect(page.url()).toMatch(/consent=r_[0-9a-f]{32}/);
  const link = new URL(page.url());
  await expect((await visit(link.pathname + link.search)).getByRole("dialog", { name: "Proof of a choice" })).toBeVisible();
});

test("deliveries say why they were held back", async ({ visit }) => {
  const page = await visit("/people/email:bruno@example.org");
  const held = panel(page, "Deliveries").getByRole("listitem").filter({ hasText: "sneakers_mail" });
  await expect(held).toContainText(/blocked.*Refused marketing by e-mail since/);
  await held.getByRole("link", { name: "mail_tool" }).click();
  await expect(page.getByRole("heading", { level: 1, name: "mail_tool" })).toBeVisible();
});

test("who was joined is found at her old address, who is unknown is not, who was erased neither", async ({ visit, maison }) => {
  const { absorbed } = await maison.api("/v1/profiles/email:ana@example.org");
  const old = await visit(`/people/${absorbed[0]}`);
  await expect(old.getByRole("heading", { level: 1, name: "Ana Lefèvre" })).toBeVisible();
  await expect(old.getByText(`${absorbed[0]} was found to be the same person`)).toBeVisible();

  const nobody = await visit("/people/email:nobody@example.org");
  await expect(nobody.getByText("Nobody is known by “email:nobody@example.org”")).toBeVisible();
  await expectAccessible(nobody);

  const json = { "content-type": "application/json" };
  await maison.api("/v1/batch", { method: "POST", headers: json, body: JSON.stringify({ writeKey: "wk_site", batch: [{ type: "identify", userId: "u-erased", traits: { firstName: "Zoé" } }] }) });
  const page = await visit("/people/user_id:u-erased");
  await expect(page.getByRole("heading", { level: 1, name: "Zoé" })).toBeVisible();
  await maison.api("/v1/privacy/erase", { method: "POST", headers: json, body: JSON.stringify({ identifier: "user_id:u-erased" }) });
  await page.reload();
  await expect(page.getByText("Nobody is known by “user_id:u-erased”")).toBeVisible();
  await expect(page.getByText("Zoé")).toHaveCount(0);
});

test("older events come step by step, and a link leads as far back", async ({ visit, maison }) => {
  // More than one step of the time line, of somebody of her own.
  const batch = Array.from({ length: 70 }, (_, n) => ({ type: "track", event: `Step ${n}`, userId: "u-long", timestamp: new Date(Date.now() - (70 - n) * 60_000).toISOString() }));
  await maison.api("/v1/batch", { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify({ writeKey: "wk_site", batch }) });
  const page = await visit("/people/user_id:u-long");
  const line = panel(page, "Time line");
  await expect(line.getByText("50 events")).toBeVisible();
  await expect(line.getByRole("button", { name: /^Step 0 / })).toHaveCount(0);
  await line.getByRole("button", { name: "Older" }).click();
  await expect(line.getByText("70 events")).toBeVisible();
  await expect(line.getByRole("button", { name: /^Step 0 / })).toBeVisible();
  const link = new URL(page.url());
  await expect((await visit(link.pathname + link.search)).getByText("70 events")).toBeVisible();
});

for (const look of LOOKS) {
  for (const path of [ANA, "/people?query=Lef%C3%A8vre", "/people", "/people?query=nobody"]) {
    test(`${path}, ${look.language}, ${look.scheme}: nothing in anybody's way, at the desk and in the hand`, async ({ visit }) => {
      for (const size of [DESK, PHONE]) {
        const page = await visit(path, { ...look, size });
        await expect(page.getByRole("status", { name: /Chargement|Loading/ })).toHaveCount(0);
        for (const more of await page.locator("details > summary").all()) await more.click();
        await expectAccessible(page);
        await expectFits(page);
      }
    });
  }
}
