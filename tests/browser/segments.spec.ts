// Segments: how many, who in a sentence, how that changes, who exactly, and where they are sent.

import { DESK, expect, expectAccessible, expectFits, FRENCH, LOOKS, PHONE } from "./console.ts";
import { test, UNDECIDED } from "./maison.ts";

test("the list says who is in each segment and how many, and is searched without accents", async ({ visit }) => {
  const page = await visit("/segments", FRENCH);
  const row = (name: string) => page.getByRole("row").filter({ hasText: name });
  await expect(row("Hésite sur des sneakers")).toContainText(`${UNDECIDED}`);
  await expect(row("Hésite sur des sneakers")).toContainText("« Product Viewed » où category = « sneakers », au moins 3 fois sur les 30 derniers jours");
  await expect(row("Hésite sur des sneakers")).toContainText(`${UNDECIDED} de plus depuis le`);
  await page.getByRole("searchbox", { name: "Chercher un segment" }).fill("hesite");
  await expect(page.getByRole("row")).toHaveCount(2);
  await expect(page).toHaveURL(/\?q=hesite$/);
  await page.getByRole("searchbox", { name: "Chercher un segment" }).fill("xyz");
  await expect(page.getByText("Aucun segment ne correspond à « xyz »")).toBeVisible();
});

test("a segment leads to its people, page by page, and back", async ({ visit }) => {
  const page = await visit("/segments");
  await page.getByRole("link", { name: "Undecided about sneakers" }).click();
  await expect(page.getByRole("heading", { level: 1, name: "Undecided about sneakers" })).toBeVisible();
  const members = page.getByRole("region", { name: "Members", exact: true });
  // The heading's row counts too.
  await expect(members.getByRole("row")).toHaveCount(51);
  await members.getByRole("button", { name: "Next" }).click();
  await expect(members.getByRole("row")).toHaveCount(UNDECIDED - 50 + 1);
  await expect(members.getByRole("button", { name: "Next" })).toBeDisabled();
  const link = new URL(page.url());
  const other = await visit(link.pathname + link.search);
  await expect(other.getByRole("region", { name: "Members", exact: true }).getByRole("row")).toHaveCount(UNDECIDED - 50 + 1);
  await members.getByRole("button", { name: "Previous" }).click();
  await expect(members.getByRole("row")).toHaveCount(51);
  await members.getByRole("link", { name: "ana@example.org" }).click();
  await expect(page.getByRole("heading", { level: 1, name: "Ana Lefèvre" })).toBeVisible();
});

test("a segment shows its rule, its days also as a table, and the activations that use it", async ({ visit }) => {
  const page = await visit("/segments/sneakers_undecided");
  await expect(page.getByRole("region", { name: "The rule as it is written" })).toContainText('"did": "Product Viewed"');
  const moves = page.getByRole("region", { name: "Entered and left by day" });
  await moves.getByRole("button", { name: "Show as a table" }).click();
  await expect(moves.getByRole("row").last()).toContainText(`${UNDECIDED}`);
  const uses = page.getByRole("region", { name: "Activations that use it" });
  await expect(uses.getByRole("listitem")).toHaveCount(2);
  await uses.getByRole("link", { name: "ads_audience" }).click();
  await expect(page).toHaveURL(/\/destinations\/ads_audience\?activation=sneakers_ads$/);
});

test("a segment that is not there says so", async ({ visit }) => {
  const page = await visit("/segments/nothing_here");
  await expect(page.getByText("There is no segment “nothing_here”")).toBeVisible();
  await page.getByRole("link", { name: "All segments" }).click();
  await expect(page.getByRole("heading", { level: 1, name: "Segments" })).toBeVisible();
});

for (const look of LOOKS) {
  for (const path of ["/segments", "/segments/sneakers_undecided", "/segments/nothing_here"]) {
    test(`${path}, ${look.language}, ${look.scheme}: nothing in anybody's way, at the desk and in the hand`, async ({ visit }) => {
      for (const size of [DESK, PHONE]) {
        const page = await visit(path, { ...look, size });
        await expect(page.getByRole("status", { name: /Chargement|Loading/ })).toHaveCount(0);
        await expectAccessible(page);
        await expectFits(page);
      }
    });
  }
}
