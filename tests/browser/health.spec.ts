// Health: how far behind, how long the steps take, what waits, what was dropped and why, what the disk holds.

import { badPrice, ENGLISH, expect, expectAccessible, expectFits, FRENCH, LOOKS, PHONE, test } from "./console.ts";

test("the numbers are those of the server", async ({ shop, visit }) => {
  await shop.tell("site", badPrice(`H-${Date.now()}`));
  const details = await shop.api("/v1/health/details");
  const page = await visit("/health", ENGLISH);
  await expect(page.getByRole("region", { name: "Is the house well?" })).toContainText("Ready.");
  const steps = page.getByRole("region", { name: "How long the steps take" });
  await expect(steps.locator("tbody tr")).toHaveCount(4);
  await expect(steps.getByRole("row", { name: /Received → processed/ })).toContainText(/[0-9.]+ ms/);
  const tools = page.getByRole("region", { name: "What waits for the tools" });
  await expect(tools.getByRole("row", { name: /mail_tool/ })).toContainText("in use");
  await expect(tools.getByRole("link", { name: "mail_tool" })).toHaveAttribute("href", "/destinations/mail_tool");
  const dropped = page.getByRole("region", { name: "Not taken as it came, and why" });
  const rule = details.dropped.find((row: { what: string }) => row.what === "quarantined").reason;
  await expect(dropped.getByRole("row", { name: new RegExp(`In quarantine ${rule}`) })).toContainText(/[0-9]+/);
  await expect(page.getByRole("region", { name: "Work put off by the storage" }).getByRole("row", { name: /Journals/ })).toContainText("1");
  await expect(page.getByRole("region", { name: "Disk", exact: true })).toContainText("History · journals");
});

test("Home leads to it, by keyboard too", async ({ visit }) => {
  const page = await visit("/", FRENCH);
  const link = page.getByRole("region", { name: "Santé" }).getByRole("link", { name: "Voir le détail" });
  await link.focus();
  await page.keyboard.press("Enter");
  await expect(page.getByRole("heading", { level: 1, name: "Santé" })).toBeVisible();
  await expect(page.getByRole("navigation").getByRole("link", { name: "Santé" })).toHaveAttribute("aria-current", "page");
});

for (const look of LOOKS) {
  test(`what is wrong is said first: ${look.language}`, async ({ shop, visit }) => {
    const details = await shop.api("/v1/health/details");
    const page = await visit("/", { ...look, size: PHONE });
    const outboxes = [{ destination: "mail_tool", queued: 12, dead: 3, in_flight: 0, oldest_queued_at: details.at, circuit: "open", retry_at: null }];
    const ill = { ...details, ready: false, why: "no more writes are taken until the process is restarted: EIO", dropped: [], outboxes };
    await page.route("**/v1/health/details", (route) => route.fulfill({ json: ill }));
    await page.goto("/health");
    const french = look.language === "fr";
    await expect(page.getByRole("region", { name: french ? "La maison va-t-elle bien ?" : "Is the house well?" })).toContainText(
      `${french ? "Pas prête :" : "Not ready:"} no more writes are taken`,
    );
    await expect(page.getByRole("row", { name: /mail_tool/ })).toContainText(french ? "laissé en paix" : "left alone");
    await expect(page.getByText(french ? "Tout a été pris tel quel." : "Everything was taken as it came.")).toBeVisible();
    await expectAccessible(page);
    await expectFits(page);
  });
}
