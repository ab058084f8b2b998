// Home answers: what flows, who is recognised, what left, what was held back and why, is the house well?

import { ENGLISH, expect, expectAccessible, FRENCH, test } from "./console.ts";

test("Home tells the story of the shop, and each number leads to what is behind it", async ({ shop, visit }) => {
  const { people, recognised } = await shop.api("/v1/overview");
  const page = await visit("/", ENGLISH);
  const who = page.getByRole("region", { name: "Who is recognised" });
  await expect(who).toContainText(`of ${people} people carry an identifier that a customer gave`);
  await expect(who).toContainText(`${recognised} recognised`);
  await expect(who.getByRole("link")).toHaveAttribute("href", "/people");
  await expect(page.getByRole("region", { name: "What left" })).toContainText("1 sent in the last hour");

  const held = page.getByRole("region", { name: "What was held back, and why" });
  await expect(held).toContainText("No choice known for marketing by e-mail: silence is not a yes.");
  await expect(held).toContainText("It opens when a grant for marketing by e-mail arrives.");
  await expect(held).toContainText("Refused marketing by e-mail.");
  await expect(held.getByRole("link").first()).toHaveAttribute("href", "/destinations/mail_tool?state=blocked&activation=sneakers_mail");

  const sources = page.getByRole("region", { name: "Sources" });
  await expect(sources.getByRole("row", { name: /site/ })).toContainText("film");
  await expect(sources.getByRole("row", { name: /till/ })).toContainText("photograph");
  await expect(page.getByRole("region", { name: "Health" })).toContainText("Ready");

  await page.getByRole("main").getByRole("link", { name: "See why, and mend it" }).click();
  await expect(page.getByRole("heading", { level: 1, name: "Quarantine" })).toBeVisible();
});

test("the charts say what they show, and can be read as tables", async ({ visit }) => {
  const page = await visit("/", FRENCH);
  const flow = page.getByRole("region", { name: "Ce qui circule" });
  await expect(flow.getByRole("img", { name: /^Événements par minute sur la dernière heure : [1-9]/ })).toBeVisible();
  await expect(flow.locator("canvas")).toBeVisible();
  await flow.getByRole("button", { name: "Afficher en tableau" }).click();
  await expect(flow.getByRole("columnheader", { name: "Minute" })).toBeVisible();
  expect(await flow.locator("tbody tr").count()).toBeGreaterThan(0);
  await expectAccessible(page);
});

test("hours and days are in the address", async ({ visit }) => {
  const page = await visit("/", ENGLISH);
  await page.getByRole("radiogroup", { name: "Show the last hour or the last days" }).getByText("Days").click();
  await expect(page).toHaveURL(/\/\?range=days$/);
  await page.reload();
  await expect(page.getByRole("region", { name: "What flows" }).getByRole("img", { name: /^Events by day: [1-9]/ })).toBeVisible();
});

test("numbers grow while one looks", async ({ shop, visit }) => {
  const page = await visit("/", ENGLISH);
  const before = (await shop.api("/v1/overview")).people;
  await shop.tell("site", { type: "page", name: "Home", anonymousId: `browser-${Date.now()}` });
  await expect(page.getByRole("region", { name: "Who is recognised" })).toContainText(`of ${before + 1} people`);
});

test("a server that does not answer is said, and asked again", async ({ visit }) => {
  const page = await visit("/quarantine", ENGLISH);
  await page.route("**/v1/overview", (route) => route.abort());
  await page.goto("/");
  await expect(page.getByRole("alert")).toContainText("The server did not answer");
  await expectAccessible(page);
  await page.unroute("**/v1/overview");
  await page.getByRole("button", { name: "Try again" }).click();
  await expect(page.getByRole("region", { name: "Health" })).toBeVisible();
});
