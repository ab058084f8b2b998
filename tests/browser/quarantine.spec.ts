// Quarantine: why an event was not understood, and the ways out.

import { badPrice, ENGLISH, expect, expectAccessible, FRENCH, LOOKS, PHONE, test } from "./console.ts";

const sent = (order: string) => ({ ...badPrice(order), messageId: order });
let orders = 0;
const newOrder = () => `O-${++orders}-${Date.now()}`;

test("a reason stands in words, with the field marked; corrected, the event enters the history", async ({ shop, visit }) => {
  const order = newOrder();
  await shop.tell("site", sent(order));
  const page = await visit("/quarantine", FRENCH);
  await page.getByRole("link", { name: "properties.products[0].price est un nombre écrit comme un texte" }).first().click();
  const panel = page.getByRole("complementary", { name: "Pourquoi il n’a pas été compris" });
  await expect(panel).toContainText("Écrivez le nombre sans guillemets.");
  await expect(panel.locator("mark")).toHaveText('"price": "129.90"');
  await expect(panel).toContainText(order);
  await expectAccessible(page);
  const editor = panel.getByLabel("Événement corrigé, JSON");

  // Broken: said at once, and not sent.
  await editor.fill("{");
  await expect(panel).toContainText("Ce n’est pas du JSON valide");
  await expect(panel.getByRole("button", { name: "Réessayer avec la correction" })).toBeDisabled();
  await expectAccessible(page);

  // Still wrong: the server's answer in words.
  await editor.fill(JSON.stringify({ ...sent(order), event: undefined }));
  await panel.getByRole("button", { name: "Réessayer avec la correction" }).click();
  await expect(panel.getByRole("alert")).toContainText("Toujours pas compris");
  await expectAccessible(page);

  await panel.getByRole("button", { name: "Revenir à l’original" }).click();
  await editor.fill((await editor.inputValue()).replace('"129.90"', "129.90"));
  await panel.getByRole("button", { name: "Réessayer avec la correction" }).click();
  await expect(panel.getByRole("status")).toHaveText(/Compris\. L’événement est maintenant dans l’historique\./);
  const history: string = await (await fetch(`${shop.url}/v1/export/events`, { headers: { authorization: `Bearer ${shop.token}` } })).text();
  expect(history.split("\n").filter((line) => line.includes(`"${order}"`))).toHaveLength(1);
});

test("tried again as it is, it is refused with its reason; deleted by keyboard, it is gone", async ({ shop, visit }) => {
  const order = newOrder();
  await shop.tell("site", sent(order));
  const { items } = await shop.api("/v1/quarantine?limit=1");
  expect(items[0].body).toContain(order);
  const page = await visit(`/quarantine?item=${items[0].id}`, ENGLISH);
  const panel = page.getByRole("complementary");
  await panel.getByRole("button", { name: "Try again as it is" }).click();
  await expect(panel.getByRole("alert")).toContainText("properties.products[0].price is a number written as text");

  await panel.getByRole("button", { name: "Delete" }).focus();
  await page.keyboard.press("Enter");
  const question = page.getByRole("dialog", { name: "Delete this event for ever?" });
  await expect(question).toBeVisible();
  await expectAccessible(page);
  await page.keyboard.press("Escape");
  await expect(question).toHaveCount(0);
  await expect(panel.getByRole("button", { name: "Delete" })).toBeFocused();
  await page.keyboard.press("Enter");
  await expect(question.getByRole("button", { name: "Delete" })).toBeFocused();
  await page.keyboard.press("Enter");
  await expect(panel.getByRole("status")).toContainText("Deleted.");
  expect((await shop.api("/v1/quarantine?limit=200")).items.filter((item: { body: string }) => item.body.includes(order))).toEqual([]);

  await page.reload();
  await expect(page.getByText("This event is not in quarantine any more")).toBeVisible();
  await expectAccessible(page);
});

test("the list pages by cursor, and the place is in the address", async ({ shop, visit }) => {
  const run = Date.now();
  await shop.tell("site", ...Array.from({ length: 60 }, (_, n) => ({ type: "track", anonymousId: `page-${n}-${run}`, properties: { n } })));
  const page = await visit("/quarantine", ENGLISH);
  await expect(page.locator("tbody tr")).toHaveCount(50);
  const first = await page.locator("[data-item]").first().getAttribute("data-item");
  await page.getByRole("button", { name: "Next" }).click();
  await expect(page).toHaveURL(/cursor=/);
  await expect(page.locator(`[data-item="${first}"]`)).toHaveCount(0);
  expect(await page.locator("tbody tr").count()).toBeGreaterThanOrEqual(10);
  await page.reload();
  await expect(page.getByRole("button", { name: "Previous" })).toBeEnabled();
  await page.getByRole("button", { name: "First page" }).click();
  await expect(page.locator(`[data-item="${first}"]`)).toBeVisible();
  await expectAccessible(page);
});

test("on a phone an event opens over the list", async ({ visit }) => {
  const page = await visit("/quarantine", { ...FRENCH, size: PHONE });
  await page.locator("[data-item]").first().click();
  await expect(page.getByRole("dialog", { name: "Pourquoi il n’a pas été compris" })).toBeVisible();
  await expectAccessible(page);
});

for (const look of LOOKS) {
  test(`an empty quarantine says that all is well: ${look.language}`, async ({ visit }) => {
    const page = await visit("/", look);
    await page.route("**/v1/quarantine?**", (route) => route.fulfill({ json: { items: [], next: null } }));
    await page.goto("/quarantine");
    await expect(page.getByText(look.language === "fr" ? "Tout ce qui est arrivé a été compris" : "Everything that arrived was understood")).toBeVisible();
    await expectAccessible(page);
  });
}
