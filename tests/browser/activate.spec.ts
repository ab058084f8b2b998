// From a tool that nobody has used yet to a message that arrives: catalogue, set-up, test call, what would leave, applying, a delivery
// that fails, and trying it again.

import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { type Page } from "@playwright/test";
import { DESK, ENGLISH, expect, expectAccessible, expectFits, LOOKS, PHONE, type Shop, test as base } from "./console.ts";
import { startServer } from "./server.ts";

const KEY = "xkeysib-for-the-browser-tests";
process.env.ACTIVATE_BREVO_KEY ??= KEY;

const WORKSPACE = `
workspace: {key: maison, locale: fr, timezone: Europe/Paris, currency: EUR}
sources:
  site: {kind: web, write_key: wk_site}
identifiers:
  user_id: {limit: 1}
  email: {limit: 5, normalize: email}
  phone: {limit: 5, normalize: e164}
  anonymous_id: {limit: 500}
purposes:
  marketing: {basis: consent}
traits:
  orders: {count: Order Completed}
segments:
  sneakers_undecided:
    label: {fr: "Hésite sur des sneakers", en: "Undecided about sneakers"}
    rule: {did: Product Viewed, where: {category: sneakers}, count: {gte: 3}, within: 30d}
`;

/** A request as the tool received it. */
interface Heard {
  method: string;
  path: string;
  key: string | undefined;
  body: string;
}

interface Recorder extends Shop {
  tool: string;
  heard: Heard[];
  /** What the tool answers from now on. */
  answer(status: number, body?: string): void;
}

const PEOPLE = [
  ["ana", "granted"],
  ["bea", "granted"],
  ["bruno", "denied"],
] as const;

const test = base.extend<object, { recorder: Recorder }>({
  recorder: [
    async ({}, use) => {
      const heard: Heard[] = [];
      let said = { status: 200, body: "{}" };
      const receiver = createServer((request, response) => {
        let body = "";
        request
          .on("data", (chunk) => (body += chunk))
          .on("end", () => {
            heard.push({ method: request.method ?? "", path: request.url ?? "", key: request.headers["api-key"] as string | undefined, body });
            response.writeHead(said.status, { "content-type": "application/json" }).end(said.body);
          });
      });
      await new Promise<void>((done) => receiver.listen(0, "127.0.0.1", done));
      const server = await startServer({ workspace: WORKSPACE });
      const view = (browser: string, n: number) => ({ type: "track", event: "Product Viewed", anonymousId: browser, messageId: `${browser}-${n}`, properties: { product_id: `S-${n}`, category: "sneakers", price: 95 } });
      for (const [name, state] of PEOPLE) {
        const email = `${name}@example.org`;
        const batch = [1, 2, 3].map((n) => view(`browser-${name}`, n)) as object[];
        batch.push({ type: "identify", anonymousId: `browser-${name}`, messageId: `${name}-id`, traits: { email, firstName: name }, context: { consents: [{ purpose: "marketing", channel: "email", state, for: { email } }] } });
        await server.api("/v1/batch", { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify({ writeKey: "wk_site", batch }) });
      }
      await expect.poll(async () => (await server.api("/v1/segments/sneakers_undecided")).count).toBe(PEOPLE.length);
      try {
        await use({
          ...server,
          tool: `http://127.0.0.1:${(receiver.address() as AddressInfo).port}`,
          heard,
          answer: (status, body = "{}") => (said = { status, body }),
          tell: () => Promise.resolve(),
          hesitates: () => Promise.resolve(),
        });
      } finally {
        await server.stop();
        receiver.closeAllConnections();
        receiver.close();
      }
    },
    { scope: "worker", timeout: 90_000 },
  ],
  shop: [({ recorder }, use) => use(recorder), { scope: "worker" }],
});

/** A picture for whoever looks at the pages, in `results/activate`. */
const picture = (page: Page, name: string) => page.screenshot({ path: `results/activate/${name}.png`, fullPage: true });

test.describe.configure({ mode: "serial" });

test("a tool is found in the catalogue and says what there is to know", async ({ visit }) => {
  const page = await visit("/connectors", ENGLISH);
  await page.getByRole("searchbox", { name: "Find a tool" }).fill("brevo");
  await expect(page).toHaveURL(/\?words=brevo$/);
  await expect(page.getByRole("status").filter({ hasText: "1 connector" })).toBeVisible();
  await page.getByRole("searchbox", { name: "Find a tool" }).fill("no such tool");
  await expect(page.getByText("No connector fits")).toBeVisible();
  await page.goto("/connectors?kind=email");
  await expect(page.getByRole("button", { name: "E-mail" })).toHaveAttribute("aria-pressed", "true");
  await page.getByRole("link", { name: /^Brevo/ }).click();
  await expect(page.getByRole("heading", { level: 1, name: "Brevo" })).toBeVisible();
  await expect(page.getByText("the list id is in")).toBeVisible();
  await expect(page.getByText("Paramètres", { exact: false })).toHaveCount(0);
  await expect(page.getByRole("region", { name: "Settings" })).toContainText("List id");
  await page.goto("/connectors/nothing-here");
  await expect(page.getByText("There is no connector “nothing-here”")).toBeVisible();
});

test("from set-up to a replay", async ({ visit, recorder }) => {
  test.slow();
  const page = await visit("/connectors/brevo", { locale: "en-GB" });
  await page.getByRole("link", { name: "Set up" }).click();
  await expect(page.getByRole("button", { name: "Test", exact: true })).toBeDisabled();
  await expect(page.getByText("Still missing: API key (v3), List id.")).toBeVisible();
  await page.getByLabel("Name of the destination").fill("contacts");
  await page.getByLabel("Variable for: API key (v3)").fill("ACTIVATE_BREVO_KEY");
  await page.getByLabel("List id").fill("7");
  await page.getByText("Country, other host, private network").click();
  await page.getByLabel("Another host in place of the tool’s").fill(recorder.tool);
  await page.getByLabel("Allow private addresses").check();

  // The tool refuses, and repeats the key: nothing of it is shown.
  recorder.answer(401, JSON.stringify({ code: "unauthorized", message: `Key ${process.env.ACTIVATE_BREVO_KEY} not found` }));
  await page.getByRole("button", { name: "Test", exact: true }).click();
  await expect(page.getByText("The tool refuses.")).toBeVisible();
  await expect(page.getByText("Key •••••• not found")).toBeVisible();
  await expect(page.getByText("The tool does not let us in: look at this.")).toBeVisible();
  await picture(page, "set-up-refused-en");
  await expectAccessible(page);
  recorder.answer(200);
  await page.getByRole("button", { name: "Test", exact: true }).click();
  await expect(page.getByText("The tool answers: the settings are right.")).toBeVisible();
  expect(recorder.heard.at(-1)).toMatchObject({ method: "GET", key: process.env.ACTIVATE_BREVO_KEY });

  const lines = page.getByRole("region", { name: "Lines for workspace.yaml" });
  await expect(lines).toContainText("api_key: {env: ACTIVATE_BREVO_KEY}");
  await expect(page.getByRole("button", { name: "Apply" })).toBeDisabled();
  await page.getByRole("button", { name: "See what changes" }).click();
  await expect(page.getByLabel("What changes")).toContainText("contacts");
  await page.getByRole("button", { name: "Apply" }).click();
  await page.getByRole("link", { name: "Send a segment there" }).click();

  // The activation: whom it reaches, and what would leave for Ana and for Bruno.
  await expect(page.getByRole("heading", { level: 1, name: "New activation" })).toBeVisible();
  await expect(page.getByLabel("Destination", { exact: false })).toHaveValue("contacts");
  await page.getByLabel("Segment", { exact: false }).selectOption({ label: "Undecided about sneakers" });
  await page.getByLabel("Purpose", { exact: false }).selectOption("marketing");
  await page.getByLabel("Channel", { exact: false }).selectOption({ label: "e-mail" });
  await page.getByLabel("Who is in it already").selectOption("send");
  // What the tool and the workspace call the same is mapped to begin with.
  await expect(page.getByRole("group", { name: "Field email" }).getByLabel("Value")).toHaveValue("identifiers.email");
  await expect(page.getByRole("group", { name: "Field phone" })).toBeVisible();
  await page.getByRole("button", { name: "Take out phone" }).click();
  const audience = page.getByRole("region", { name: "Whom it reaches" });
  await expect(audience.getByRole("status")).toContainText("Reachable now2");
  await expect(audience.getByRole("list", { name: "Held back" })).toContainText("Refused marketing by e-mail");
  const look = page.getByRole("region", { name: "What leaves for one person" });
  await look.getByLabel("A member").selectOption({ label: "ana@example.org" });
  await expect(look.getByRole("status")).toContainText("ana@example.org");
  await expect(look.getByRole("article")).toContainText("/v3/contacts/import");
  await expect(look.getByRole("article")).toContainText("ana@example.org");
  await expect(page.locator("body")).not.toContainText(process.env.ACTIVATE_BREVO_KEY ?? KEY);
  await picture(page, "activation-open-en");
  await look.getByLabel("Or anybody").fill("bruno@example.org");
  await look.getByRole("button").click();
  await expect(look.getByRole("status")).toContainText("Refused marketing by e-mail");
  await expect(look.getByText("What would leave if the gate were open:")).toBeVisible();
  await expectAccessible(page);

  // It goes live; the tool refuses everything.
  recorder.answer(400, JSON.stringify({ code: "invalid_parameter", message: "list 7 is full" }));
  await page.getByRole("button", { name: "See what changes" }).click();
  await page.getByRole("button", { name: "Apply" }).click();
  await page.getByRole("link", { name: "See its deliveries" }).click();
  const dead = async () => (await recorder.api("/v1/deliveries?state=dead")).items.length as number;
  await expect.poll(dead, { message: "given up", timeout: 60_000 }).toBe(2);
  await page.getByRole("link", { name: "More filters" }).click();
  await page.getByRole("button", { name: "dead", exact: true }).click();
  await expect(page.getByRole("row")).toHaveCount(3);
  await page.getByLabel("Reason").fill("no such words");
  await page.getByRole("button", { name: "Filter", exact: true }).click();
  await expect(page.getByText("No message fits")).toBeVisible();
  await page.getByLabel("Reason").fill("full");
  await page.getByRole("button", { name: "Filter", exact: true }).click();
  await expect(page).toHaveURL(/reason=full/);
  await expect(page.getByRole("row")).toHaveCount(3);
  await picture(page, "deliveries-dead-en");
  await expectAccessible(page);

  recorder.answer(200);
  await page.getByRole("button", { name: "Replay all that were given up" }).click();
  const question = page.getByRole("dialog", { name: "Replay all that were given up" });
  await expect(question).toContainText("2 messages that were given up fit.");
  await expect(question).toContainText("contacts");
  await expectAccessible(page);
  await picture(page, "replay-en");
  await question.getByRole("button", { name: "Replay", exact: true }).click();
  await expect(page.getByText("2 messages were queued again.")).toBeVisible();
  await expect.poll(async () => (await recorder.api("/v1/deliveries?state=sent")).items.length).toBe(2);

  // One message's page says each step, and who asked.
  await page.getByRole("button", { name: "Take the filters away" }).click();
  await page.getByRole("button", { name: "sent", exact: true }).click();
  await page.getByRole("link", { name: /^sent: message about/ }).first().click();
  const steps = page.getByRole("region", { name: "What became of it" });
  await expect(steps.getByRole("listitem")).toHaveCount(4);
  await expect(steps).toContainText("Queued again by first administrator");
  await expect(steps).toContainText("list 7 is full");
  await picture(page, "delivery-en");
  await expectAccessible(page);
  await page.goto("/deliveries/dlv_00000000000000000000000000");
  await expect(page.getByText("There is no such message")).toBeVisible();
});

test("a destination that is there is tried from its page", async ({ visit }) => {
  const page = await visit("/destinations/contacts", ENGLISH);
  await page.getByRole("button", { name: "Test call" }).click();
  await expect(page.getByText("The tool answers: the settings are right.")).toBeVisible();
});

for (const look of LOOKS) {
  for (const [device, size] of [["desk", DESK], ["phone", PHONE]] as const) {
    test(`the pages fit and have no fault of accessibility: ${look.language}, ${look.scheme}, ${device}`, async ({ visit }) => {
      test.slow();
      const page = await visit("/connectors", { ...look, size });
      for (const path of ["/connectors", "/connectors/brevo", "/connectors/brevo/set-up", "/connectors/webhook/set-up", "/activations/new", "/activations/sneakers_undecided_contacts", "/deliveries?state=sent"]) {
        await page.goto(path);
        await expect(page.locator("h1")).toBeVisible();
        await expect(page.getByRole("status", { name: /^(Loading|Chargement)$/ })).toHaveCount(0);
        if (path.endsWith("contacts")) {
          await page.getByLabel(/^(A member|Un membre)$/).selectOption({ label: "bruno@example.org" });
          await expect(page.getByRole("article")).toBeVisible();
        }
        await expectAccessible(page);
        await expectFits(page);
        await picture(page, `${path.replaceAll(/[/?=]/g, "-").slice(1)}-${look.language}-${device}`);
      }
    });
  }
}
