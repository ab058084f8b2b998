// Two people who were found to be one, taken apart beside their identifiers.

import { choice, expect, expectAccessible, expectFits, LOOKS, PHONE, test } from "./console.ts";

const WORDS = {
  fr: { open: "Séparer", now: "Séparer maintenant", stays: "Qui reste", leaves: "Qui part", done: "Il y a de nouveau deux personnes.", since: "Séparation d’avec" },
  en: { open: "Take apart", now: "Take apart now", stays: "Who stays", leaves: "Who leaves", done: "They are two again.", since: "Taken apart from" },
} as const;

for (const look of LOOKS) {
  test(`who leaves is chosen, shown and confirmed (${look.language})`, async ({ shop, visit }) => {
    const words = WORDS[look.language];
    const [zoe, max] = [`zoe.${look.language}@example.org`, `max.${look.language}@example.org`];
    await shop.tell("site", choice(`laptop-${look.language}`, zoe, "granted"), choice(`phone-${look.language}`, max, "denied"));
    await shop.tell("till", { type: "identify", traits: { email: zoe }, anonymousId: `phone-${look.language}` });
    await expect.poll(async () => (await shop.api(`/v1/profiles/email:${max}`)).identifiers.length).toBe(4);

    const page = await visit(`/people/email:${zoe}`, look);
    await page.getByRole("button", { name: words.open, exact: true }).click();
    const dialog = page.getByRole("dialog", { name: words.open });
    await expect(dialog.getByRole("button", { name: words.now })).toBeDisabled();
    await dialog.getByLabel(`email ${max}`).check();
    await dialog.getByLabel(`anonymous_id phone-${look.language}`).check();
    const leaves = dialog.getByRole("region", { name: words.leaves });
    await expect(leaves).toContainText(max);
    await expect(leaves).not.toContainText(zoe);
    await expect(dialog.getByRole("region", { name: words.stays })).toContainText(zoe);
    await expectAccessible(page);
    await page.setViewportSize(PHONE);
    await expectFits(page);
    await dialog.getByRole("button", { name: words.now }).click();
    await expect(dialog.getByRole("status")).toContainText(words.done);
    await page.keyboard.press("Escape");
    await expect(page.getByText(words.since)).toBeVisible();
    expect((await shop.api(`/v1/profiles/email:${max}`)).identifiers).toHaveLength(2);
    await expectAccessible(page);
  });
}
