// Sends mixed calls with the unmodified @segment/analytics-next on a page in Chromium. Started by test_sdks.py; see calls.py.
//
// The page stands on another origin than the server, as a shop does. Half-way it is loaded again: what was not delivered then must
// come from the SDK's own store in the browser. The SDK does not say when its retry queue is empty, so after printing what it sent
// this waits for a line, which the test writes when everything has arrived.
import { existsSync } from "node:fs";
import { once } from "node:events";
import { createServer } from "node:http";
import { build } from "esbuild";
import { chromium } from "playwright-core";
import { finish, parameters, pause } from "./calls.mjs";

const { host, writeKey, calls } = parameters();
// Playwright's own browsers cannot be had everywhere; Debian's can.
const executablePath =
  process.env.CHROMIUM ?? ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"].find(existsSync);

const bundle = await build({
  entryPoints: [new URL("analytics-next-page.mjs", import.meta.url).pathname],
  bundle: true, write: false, format: "iife", target: "es2020", define: { "process.env.NODE_ENV": '"production"' },
});
const site = createServer((request, response) => {
  const script = request.url === "/page.js";
  response.setHeader("content-type", script ? "text/javascript" : "text/html; charset=utf-8");
  response.end(script ? bundle.outputFiles[0].text : "<!doctype html><title>Shop</title><script src=/page.js></script>");
});
site.listen(0, "127.0.0.1");
await once(site, "listening");

const browser = await chromium.launch({ executablePath, args: ["--no-sandbox", "--disable-dev-shm-usage"] });
const page = await browser.newPage();
const problems = [];
page.on("pageerror", (error) => problems.push(String(error)));
await page.exposeFunction("gaveUp", (reason) => problems.push(reason));
const url = `http://127.0.0.1:${site.address().port}/`;
const send = async (from, to) => {
  await page.goto(url);
  return page.evaluate(([host, writeKey, from, to]) => window.send(host, writeKey, from, to), [host, writeKey, from, to]);
};

const half = Math.floor(calls / 2);
const sent = await send(0, half);
await pause();
sent.push(...(await send(half, calls)));
finish(sent, problems);
await once(process.stdin.resume(), "data");
process.stdin.pause();
await browser.close();
site.close();
site.closeAllConnections();
