// The README's ten minutes, told in the console: what a newcomer sees after each of its events.

import { readFileSync } from "node:fs";
import { createServer, type Server as Receiver } from "node:http";
import type { AddressInfo } from "node:net";
import { resolve } from "node:path";
import { expect, type Page, test } from "@playwright/test";
import { expectAccessible } from "./console.ts";
import { type Server, startServer } from "./server.ts";

const EXAMPLE = resolve(import.meta.dirname, "../../examples/sneakers");
const HOOK_SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

interface Step {
  source: string;
  minutes_ago?: number;
  event: Record<string, unknown> & { type: string };
}

let server: Server;
let receiver: Receiver;
let page: Page;
const received: { type: string; data: Record<string, unknown>; signed: boolean }[] = [];
const steps: Step[] = readFileSync(resolve(EXAMPLE, "story.jsonl"), "utf8").trim().split("\n").map((line) => JSON.parse(line));

test.beforeAll(async ({ browser }) => {
  receiver = createServer((request, response) => {
    let body = "";
    request.on("data", (part) => (body += part)).on("end", () => {
      received.push({ ...JSON.parse(body), signed: Boolean(request.headers["webhook-signature"]) });
      response.writeHead(204).end();
    });
  });
  await new Promise<void>((done) => receiver.listen(0, "127.0.0.1", done));
  process.env.HOOK_SECRET = HOOK_SECRET;
  const workspace = readFileSync(resolve(EXAMPLE, "workspace.yaml"), "utf8");
  server = await startServer({
    workspace: workspace.replace("http://127.0.0.1:9000/hook", `http://127.0.0.1:${(receiver.address() as AddressInfo).port}/hook`),
  });
  const context = await browser.newContext({ baseURL: server.url, locale: "en-GB", viewport: { width: 1440, height: 900 } });
  page = await context.newPage();
});

test.afterAll(async () => {
  await page.context().close();
  await server.stop();
  receiver.closeAllConnections();
  receiver.close();
});

/** Sends the next steps of the story as their sources would. */
async function tell(count: number): Promise<void> {
  for (const { source, minutes_ago = 0, event } of steps.splice(0, count)) {
    const body = { ...event, timestamp: new Date(Date.now() - minutes_ago * 60_000).toISOString(), writeKey: `wk_${source}` };
    const answer = await fetch(`${server.url}/v1/${event.type}`, { method: "POST", body: JSON.stringify(body) });
    expect(answer.status, await answer.text()).toBe(200);
  }
}

/** Searches as a person would, and opens the one who is found. */
async function find(name: string): Promise<void> {
  await page.goto("/");
  await expect(page.locator("h1")).toBeVisible();
  await page.keyboard.press("/");
  await page.keyboard.type(name);
  await page.keyboard.press("Enter");
  await page.locator("main a[href^='/people/']").first().click();
  await expect(page).toHaveURL(/\/people\/p_/);
}

const main = () => page.getByRole("main");

test("a newcomer signs in by the printed link, and sees one person become known", async () => {
  await page.goto(`/#token=${server.token}`);
  await expect(page.getByRole("heading", { name: "Home" })).toBeVisible();
  expect(page.url(), "the token leaves the address").not.toContain(server.token);

  // 1. A receipt at the till; 2. a browser; 3. three looks: in the segment, and held back.
  await tell(5);
  await find("browser-7f3a");
  await expect(main()).toContainText("Undecided about sneakers");
  await expect(main()).toContainText("No choice known for marketing by e-mail");
  expect(received).toEqual([]);

  // 4. She signs in: the browser and the loyalty card are one person. Still held back.
  await tell(1);
  await find("ana@example.org");
  for (const name of ["ana@example.org", "2900417733", "browser-7f3a"]) await expect(main()).toContainText(name);
  await expect(main()).toContainText("€89.90");
  await expect(main()).toContainText("No choice known for marketing by e-mail");
  expect(received).toEqual([]);

  // 5. She consents: the gate opens, a signed message leaves with what the activation maps and nothing else.
  await tell(1);
  await expect.poll(() => received.map(({ type, signed }) => [type, signed])).toEqual([["segment.entered", true]]);
  expect(Object.keys(received[0]!.data).sort()).toEqual(["email", "size"]);
  await find("ana@example.org");
  await expect(main().getByText("Open", { exact: true }).first()).toBeVisible();
  await expectAccessible(page);

  // 6. She unsubscribes: the gate closes, the tool is told.
  await tell(1);
  await expect.poll(() => received.map(({ type }) => type)).toEqual(["segment.entered", "consent.withdrawn"]);
  await find("ana@example.org");
  await expect(main()).toContainText("Refused marketing by e-mail");
  await page.goto("/destinations/crm_hook");
  await expect(main()).toContainText("consent withdrawn");
  expect(steps, "the whole story was told").toEqual([]);
});
