// Destinations: how each tool is, what went there or did not, why, and the ways to try again.

import { type Page } from "@playwright/test";
import { DESK, ENGLISH, expect, expectAccessible, expectFits, LOOKS, PHONE } from "./console.ts";
import { REFUSED, test, VISITORS } from "./maison.ts";

const deliveries = (page: Page) => page.getByRole("region", { name: "Deliveries", exact: true });

test("the list shows which tool works, which is stopped, and why", async ({ visit }) => {
  const page = await visit("/destinations");
  const row = (key: string) => page.getByRole("row").filter({ hasText: key });
  await expect(row("mail_tool")).toContainText("working");
  await expect(row("call_list")).toContainText(/stopped.*next try/);
  await expect(row("call_list")).toContainText("403 Forbidden: key revoked");
  await row("ads_audience").getByRole("link", { name: `${REFUSED}`, exact: true }).click();
  await expect(page).toHaveURL(/\/destinations\/ads_audience\?state=dead$/);
  await expect(deliveries(page).getByRole("row")).toHaveCount(REFUSED + 1);
});

test("a stopped tool can be tried at once", async ({ visit, maison }) => {
  const page = await visit("/destinations/call_list");
  const failed = async () => (await maison.api("/v1/destinations/call_list")).failed_hour as number;
  const before = await failed();
  await page.getByRole("button", { name: "Try now" }).click();
  await expect(page.getByText("Trying now.")).toBeVisible();
  await expect.poll(failed, "the tool was asked once more").toBeGreaterThan(before);
});

test("deliveries are filtered by state and activation, in the address, and page by cursor", async ({ visit }) => {
  const page = await visit("/destinations/mail_tool");
  await page.getByRole("button", { name: "blocked" }).click();
  await expect(page).toHaveURL(/\?state=blocked$/);
  await expect(deliveries(page).getByRole("row")).toHaveCount(51);
  await expect(deliveries(page).getByRole("row").nth(1)).toContainText("It opens when a grant for marketing by e-mail arrives");
  await deliveries(page).getByRole("button", { name: "Next" }).click();
  await expect(page).toHaveURL(/cursor=/);
  await expect(deliveries(page).getByRole("row").nth(1)).toBeVisible();
  // A change of the filter begins at the first page again.
  await page.getByRole("combobox", { name: "Activation" }).selectOption("loyal_sms");
  await expect(page).toHaveURL(/\?state=blocked&activation=loyal_sms$/);
  await expect(deliveries(page).getByRole("row")).toHaveCount(2);
  await deliveries(page).getByRole("row").nth(1).getByRole("link", { name: /^p_/ }).click();
  await expect(page.getByRole("heading", { level: 1, name: "Ana Lefèvre" })).toBeVisible();
});

test("what came of the messages stands by activation, as people and reports, for a period", async ({ visit, maison }) => {
  const report = { events: [{ type: "delivered", address: { email: "ana@example.org" } }, { type: "clicked", address: { email: "ana@example.org" }, id: "c1" }, { type: "clicked", address: { email: "ana@example.org" }, id: "c2" }] };
  await maison.api("/v1/destinations/mail_tool/results", { method: "POST", body: JSON.stringify(report) });
  const page = await visit("/destinations/mail_tool", ENGLISH);
  const funnel = page.getByRole("region", { name: "What came of it" }).getByRole("region", { name: "sneakers_mail" });
  const row = (name: string) => funnel.getByRole("row").filter({ has: page.getByRole("rowheader", { name, exact: true }) });
  await expect(row("Sent")).toHaveText(/Sent1100%/);
  await expect(row("Delivered")).toHaveText(/Delivered1100%1/);
  await expect(row("Clicked")).toHaveText(/Clicked1100%2/);
  await expect(row("Opened")).toHaveText(/Opened00%0/);
  await expect(row("Bounced")).toHaveCount(0);
  await expect(funnel).toContainText("Taken by the tool: 100% of what it answered for (1).");
  await page.getByRole("combobox", { name: "Period" }).selectOption("7");
  await expect(page).toHaveURL(/\?days=7$/);
  await expect(row("Clicked")).toHaveText(/Clicked1100%2/);
  const hers = await visit("/people/email:ana@example.org", ENGLISH);
  await expect(hers.getByRole("region", { name: "Deliveries", exact: true })).toContainText("Delivered · Clicked 2×");
});

test("a message is tried again, then all that were given up, and the count is told", async ({ visit, maison }) => {
  const page = await visit("/destinations/ads_audience?state=dead");
  await expect(deliveries(page).getByRole("row")).toHaveCount(REFUSED + 1);
  maison.mendAds();
  await deliveries(page).getByRole("button", { name: /^Try again: sneakers_ads for/ }).first().click();
  await expect(deliveries(page).getByRole("row")).toHaveCount(REFUSED);
  await page.getByRole("button", { name: "Replay all that were given up" }).click();
  const question = page.getByRole("dialog", { name: "Replay all that were given up" });
  await expect(question).toContainText("ads_audience");
  await expectAccessible(page);
  await page.keyboard.press("Escape");
  await expect(question).toBeHidden();
  await expect(deliveries(page).getByRole("row"), "nothing happens without a yes").toHaveCount(REFUSED);
  await page.getByRole("button", { name: "Replay all that were given up" }).click();
  await question.getByRole("button", { name: "Replay", exact: true }).click();
  await expect(page.getByText(`${REFUSED - 1} messages were queued again.`)).toBeVisible();
  await expect(page.getByText("No delivery in this state")).toBeVisible();
  await page.getByRole("button", { name: "sent", exact: true }).click();
  await expect(deliveries(page).getByRole("row")).toHaveCount(REFUSED + 1);
});

test("asking the gate again lets nobody through who has not consented", async ({ visit, maison }) => {
  const page = await visit("/destinations/ads_audience?state=blocked");
  await page.getByRole("button", { name: "Ask the gate again for all" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Replay", exact: true }).click();
  // Everybody without a grant: the visitors, Ana and Bruno.
  await expect(page.getByText(`${VISITORS + 2} messages were queued again.`)).toBeVisible();
  await expect.poll(async () => (await maison.api("/v1/destinations/ads_audience")).queued, "the gate has answered").toBe(0);
  const { items } = await maison.api("/v1/deliveries?destination=ads_audience&state=blocked&limit=1000");
  expect(items).toHaveLength(VISITORS + 2);
});

test("a destination that is not there says so", async ({ visit }) => {
  const page = await visit("/destinations/nothing_here", ENGLISH);
  await expect(page.getByText("There is no destination “nothing_here”")).toBeVisible();
});

for (const look of LOOKS) {
  for (const path of ["/destinations", "/destinations/mail_tool?state=blocked", "/destinations/call_list", "/destinations/nothing_here"]) {
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
