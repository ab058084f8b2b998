// What stands around every page: sign-in, languages, schemes, the way by keyboard, the policy that nothing may break.

import { DESK, ENGLISH, expect, expectAccessible, expectFits, FRENCH, LOOKS, PHONE, test } from "./console.ts";

const PAGES = ["/", "/live", "/people", "/segments", "/destinations", "/connectors", "/deliveries", "/quarantine", "/health", "/nowhere"];

test("nobody gets in without a token, and a wrong one is told so", async ({ browser, shop }) => {
  const context = await browser.newContext({ baseURL: shop.url, locale: "fr-FR" });
  const page = await context.newPage();
  await page.goto("/quarantine");
  await expect(page.getByRole("heading", { name: "Se connecter à Jumelle" })).toBeVisible();
  await expectAccessible(page);
  // The field has the focus already.
  await page.keyboard.type("wrong");
  await page.keyboard.press("Enter");
  await expect(page.getByText("Ce jeton n’est pas connu")).toBeVisible();
  await expectAccessible(page);
  await page.getByLabel("Jeton d’administration").fill(shop.token);
  await page.keyboard.press("Enter");
  // Where one wanted to go.
  await expect(page.getByRole("heading", { level: 1, name: "Quarantaine" })).toBeVisible();
  await page.getByRole("button", { name: "Préférences" }).click();
  await page.getByRole("button", { name: "Se déconnecter" }).click();
  await expect(page.getByRole("heading", { name: "Se connecter à Jumelle" })).toBeVisible();
  await page.reload();
  await expect(page.getByRole("heading", { name: "Se connecter à Jumelle" })).toBeVisible();
  await context.close();
});

test("a token in the address signs in and leaves the address", async ({ browser, shop }) => {
  const context = await browser.newContext({ baseURL: shop.url, locale: "en-GB" });
  const page = await context.newPage();
  await page.goto(`/live?effects=1#token=${shop.token}`);
  await expect(page.getByRole("heading", { level: 1, name: "Live" })).toBeVisible();
  expect(page.url()).toBe(`${shop.url}/live?effects=1`);
  await context.close();
});

test("a session that ends asks for the token and goes on where one was", async ({ shop, visit }) => {
  const page = await visit("/quarantine");
  await page.context().clearCookies();
  // The next thing that the page asks for is refused.
  await expect(page.getByText("Your session ended")).toBeVisible();
  await page.getByLabel("Admin token").fill(shop.token);
  await page.keyboard.press("Enter");
  await expect(page.getByRole("heading", { level: 1, name: "Quarantine" })).toBeVisible();
  expect(page.url()).toBe(`${shop.url}/quarantine`);
});

for (const look of LOOKS) {
  for (const [device, size] of [["desk", DESK], ["phone", PHONE]] as const) {
    test(`every page stands without a fault of accessibility: ${look.language}, ${look.scheme}, ${device}`, async ({ visit }) => {
      test.slow();
      const page = await visit("/", { ...look, size });
      for (const path of PAGES) {
        await page.goto(path);
        await expect(page.locator("h1")).toBeVisible();
        await expect(page.getByRole("status", { name: /^(Loading|Chargement)$/ })).toHaveCount(0);
        await expect(page.locator("html")).toHaveAttribute("lang", look.language);
        await expect(page.locator("html")).toHaveAttribute("data-mantine-color-scheme", look.scheme);
        await expectAccessible(page);
        await expectFits(page);
      }
    });
  }
}

test("language and scheme are switched by keyboard and kept", async ({ visit }) => {
  const page = await visit("/", FRENCH);
  await page.getByRole("button", { name: "Préférences" }).focus();
  await page.keyboard.press("Enter");
  const language = page.getByRole("radiogroup", { name: "Langue" });
  await expect(language).toBeVisible();
  await language.getByRole("radio", { name: "Français" }).focus();
  await page.keyboard.press("ArrowRight");
  await expect(page.getByRole("heading", { level: 1, name: "Home" })).toBeVisible();
  await page.getByRole("radiogroup", { name: "Appearance" }).getByRole("radio", { name: "System" }).focus();
  await page.keyboard.press("ArrowRight");
  await page.keyboard.press("ArrowRight");
  await expect(page.locator("html")).toHaveAttribute("data-mantine-color-scheme", "dark");
  await page.keyboard.press("Escape");
  await expect(page.getByRole("button", { name: "Preferences" })).toBeFocused();
  await page.reload();
  await expect(page.getByRole("heading", { level: 1, name: "Home" })).toBeVisible();
  await expect(page.locator("html")).toHaveAttribute("lang", "en");
  await expect(page.locator("html")).toHaveAttribute("data-mantine-color-scheme", "dark");
});

test("the keyboard alone leads everywhere", async ({ visit }) => {
  const page = await visit("/", ENGLISH);
  await page.keyboard.press("Tab");
  await expect(page.getByRole("link", { name: "Skip to content" })).toBeFocused();
  await page.keyboard.press("Enter");
  await expect(page.getByRole("main")).toBeFocused();
  await page.keyboard.press("/");
  await expect(page.getByRole("searchbox", { name: "Find a person" })).toBeFocused();
  await page.keyboard.type("ana@example.org");
  await page.keyboard.press("Enter");
  await expect(page).toHaveURL(/\/people\?query=ana%40example\.org$/);
  await page.getByRole("link", { name: "Live", exact: true }).focus();
  await page.keyboard.press("Enter");
  await expect(page.getByRole("heading", { level: 1, name: "Live" })).toBeVisible();
  await expect(page.getByRole("main")).toBeFocused();
  // No trap: from the page one comes back round to its beginning.
  const seen = new Set<string>();
  for (let presses = 0; presses < 400; presses++) {
    await page.keyboard.press("Tab");
    const at = await page.evaluate(() => document.activeElement?.textContent ?? "");
    if (at === "Skip to content") break;
    seen.add(at);
    expect(presses, "the tab key comes round").toBeLessThan(399);
  }
  expect(seen.size).toBeGreaterThan(3);
});

test("the console runs under a policy that allows nothing inline and nothing from elsewhere", async ({ shop, visit }) => {
  const page = await visit("/");
  const foreign: string[] = [];
  const complaints: string[] = [];
  page.on("request", (request) => {
    if (!request.url().startsWith(shop.url)) foreign.push(request.url());
  });
  page.on("console", (message) => {
    if (message.type() === "error") complaints.push(message.text());
  });
  const policy = (await page.goto("/"))?.headers()["content-security-policy"] ?? "";
  expect(policy).toContain("default-src 'none'; script-src 'self'; style-src 'self';");
  expect(policy).not.toContain("unsafe");
  for (const path of PAGES) {
    await page.goto(path);
    await expect(page.locator("h1")).toBeVisible();
    await expect(page.getByRole("status", { name: "Loading" })).toHaveCount(0);
  }
  await page.goto("/quarantine");
  await page.locator("[data-item]").first().click();
  await page.getByRole("button", { name: "Delete" }).click();
  await expect(page.getByRole("dialog")).toBeVisible();
  await page.goto("/");
  await page.getByRole("button", { name: "Preferences" }).click();
  await expect(page.getByRole("radiogroup", { name: "Language" })).toBeVisible();
  expect(complaints).toEqual([]);
  expect(foreign).toEqual([]);
});
