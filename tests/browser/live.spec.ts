// Live: events as they arrive, and what each of them did.

import { badPrice, choice, ENGLISH, expect, expectAccessible, FRENCH, PHONE, test } from "./console.ts";

let people = 0;
/** A person nobody else in these tests is. */
const somebody = () => {
  people += 1;
  return { browser: `live-browser-${people}-${Date.now()}`, email: `live-${people}-${Date.now()}@example.org` };
};

test("an event appears the moment it is acknowledged, with what it did", async ({ shop, visit }) => {
  const page = await visit("/live", ENGLISH);
  const { browser, email } = somebody();
  await shop.tell("site", choice(browser, email, "granted"));
  const row = page.getByRole("row", { name: email }).first();
  await expect(row).toContainText("new person");
  await expect(row).toContainText("marketing: granted");
  await shop.hesitates(browser);
  await expect(page.getByRole("row", { name: email }).filter({ hasText: "entered Undecided about sneakers" })).toContainText("message queued");
});

test("one opens an event and sees its way: person, traits, segments, gate, delivery; the link leads a colleague there", async ({ shop, visit }) => {
  const { browser, email } = somebody();
  await shop.tell("site", { type: "identify", anonymousId: browser, traits: { email, shoe_size: "42" } });
  await shop.hesitates(browser);
  const page = await visit("/live", FRENCH);
  await page.getByRole("row", { name: email }).filter({ hasText: "retenu" }).getByRole("link").click();
  const panel = page.getByRole("complementary", { name: "Ce que cet événement a fait" });
  await expect(panel).toContainText("Hésite sur des sneakers");
  await expect(panel).toContainText("Fermée pour sneakers_mail");
  await expect(panel).toContainText("Aucun choix connu pour marketing par e-mail : le silence n’est pas un oui.");
  await expect(panel).toContainText("La porte s’ouvre quand un accord pour marketing par e-mail arrive.");
  await expect(panel).toContainText("Pas envoyé à mail_tool");
  await expect(panel.getByRole("link", { name: email })).toHaveAttribute("href", /^\/people\/p_/);
  await expect(panel.getByRole("region", { name: "L’événement tel qu’il est venu" })).toContainText('"Product Viewed"');
  await expectAccessible(page);
  const shared = page.url();
  expect(shared).toMatch(/\/live\?event=\d+$/);

  await page.keyboard.press("Escape");
  await expect(panel).toHaveCount(0);
  await page.goBack();
  await expect(panel).toBeVisible();

  const colleague = await visit(shared.replace(/^.*\/live/, "/live"), ENGLISH);
  await expect(colleague.getByRole("complementary")).toContainText("Closed for sneakers_mail");
  await expectAccessible(colleague);
});

test("an event that was not understood leads to where it can be mended", async ({ shop, visit }) => {
  await shop.tell("site", badPrice(`live-${Date.now()}`));
  const page = await visit("/live?type=quarantined", ENGLISH);
  const row = page.getByRole("row").filter({ hasText: "not understood: properties.products[0].price" }).first();
  await row.getByRole("link").click();
  const panel = page.getByRole("complementary");
  await expect(panel.locator("mark").first()).toContainText("129.90");
  await panel.getByRole("link", { name: "Mend it in Quarantine" }).click();
  await expect(page).toHaveURL(/\/quarantine\?item=/);
});

test("a pause counts what waits, and lets it in afterwards", async ({ shop, visit }) => {
  const page = await visit("/live", ENGLISH);
  await expect(page.getByText("Live", { exact: true }).last()).toBeVisible();
  await expect(page.locator("tbody tr").first()).toBeVisible();
  await page.keyboard.press("p");
  await expect(page.getByText("Paused. 0 events wait")).toBeVisible();
  const { browser, email } = somebody();
  await shop.tell("site", choice(browser, email, "denied"), { type: "page", name: "Home", anonymousId: browser });
  await expect(page.getByText("Paused. 2 events wait")).toBeVisible();
  await expect(page.getByRole("row", { name: email })).toHaveCount(0);
  await page.getByRole("button", { name: "Resume" }).click();
  await expect(page.getByRole("row", { name: email })).toHaveCount(2);
});

test("filters narrow the list, stand in the address and can be cleared", async ({ shop, visit }) => {
  const { browser, email } = somebody();
  await shop.tell("site", choice(browser, email, "granted"), { type: "page", name: "Nothing new", anonymousId: browser });
  const page = await visit("/live", ENGLISH);
  await expect(page.getByRole("row", { name: email })).toHaveCount(2);
  await page.getByRole("searchbox", { name: "Filter" }).fill(email);
  await expect(page.locator("tbody tr")).toHaveCount(2);
  await page.getByRole("switch", { name: "Only what did something" }).check({ force: true });
  await expect(page.locator("tbody tr")).toHaveCount(1);
  await page.getByRole("combobox", { name: "Source" }).selectOption("till");
  await expect(page.getByText("No event here matches the filter")).toBeVisible();
  const { searchParams } = new URL(page.url());
  expect(Object.fromEntries(searchParams)).toEqual({ q: email, effects: "1", source: "till" });
  await page.reload();
  await expect(page.getByText("No event here matches the filter")).toBeVisible();
  await expectAccessible(page);
  await page.getByRole("button", { name: "Clear the filter" }).click();
  await expect(page.getByRole("row", { name: email })).toHaveCount(2);
  expect(new URL(page.url()).search).toBe("");
});

test("the list is walked by keyboard", async ({ visit }) => {
  const page = await visit("/live", ENGLISH);
  await expect(page.locator("tbody tr").nth(2)).toBeVisible();
  await page.keyboard.press("p");
  for (const key of ["j", "j", "ArrowDown", "k"]) await page.keyboard.press(key);
  const second = page.locator("tbody [data-event]").nth(1);
  await expect(second).toBeFocused();
  await page.keyboard.press("Enter");
  const panel = page.getByRole("complementary");
  await expect(panel.getByRole("heading", { name: "What this event did" })).toBeFocused();
  await page.keyboard.press("Escape");
  await expect(panel).toHaveCount(0);
  await expect(second).toBeFocused();
});

test("a burst leaves the page quick and the list bounded", async ({ shop, visit }) => {
  const page = await visit("/live", ENGLISH);
  await expect(page.locator("tbody tr").first()).toBeVisible();
  await page.evaluate(() => {
    const frames = window as unknown as { longest: number };
    frames.longest = 0;
    let before = performance.now();
    const look = (now: number) => {
      frames.longest = Math.max(frames.longest, now - before);
      before = now;
      requestAnimationFrame(look);
    };
    requestAnimationFrame(look);
  });
  const burst = `burst-${Date.now()}`;
  for (let n = 0; n < 12; n++) {
    await shop.tell("site", ...Array.from({ length: 100 }, (_, i) => ({ type: "page", name: burst, anonymousId: `${burst}-${i}`, messageId: `${burst}-${n}-${i}` })));
  }
  await expect(page.locator("tbody tr").filter({ hasText: burst })).toHaveCount(100);
  await expect(page.getByText(/^100 shown of (1,000|[4-9]\d\d) kept$/)).toBeVisible();
  // Two busy cores with a server and a browser: a second would be a freeze.
  expect(await page.evaluate(() => (window as unknown as { longest: number }).longest)).toBeLessThan(1_000);
  await page.getByRole("button", { name: "Show older ones" }).click();
  await expect(page.locator("tbody tr")).toHaveCount(200);
});

test("on a phone the event opens over the list", async ({ shop, visit }) => {
  await shop.tell("site", badPrice(`phone-${Date.now()}`));
  const page = await visit("/live?type=quarantined", { ...FRENCH, size: PHONE });
  await page.locator("tbody [data-event]").first().click();
  const dialog = page.getByRole("dialog", { name: "Ce que cet événement a fait" });
  await expect(dialog).toBeVisible();
  await expectAccessible(page);
  await dialog.getByRole("button", { name: "Fermer" }).click();
  await expect(dialog).toHaveCount(0);
});
