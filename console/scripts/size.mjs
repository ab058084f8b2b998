// Prints what the first visit loads, compressed, and fails above the budget: everything that index.html and its first page need,
// and every lazily loaded script beside it, so that nothing hides behind a dynamic import.
import { readFileSync, readdirSync } from "node:fs";
import { gzipSync } from "node:zlib";

const FIRST_LOAD_KIB_MAX = 350;
const assets = new URL("../dist/assets/", import.meta.url);
const files = readdirSync(assets).filter((name) => /\.(js|css)$/.test(name));
const html = readFileSync(new URL("../dist/index.html", import.meta.url));
let all = gzipSync(html, { level: 9 }).length;
for (const name of files.sort()) {
  const bytes = gzipSync(readFileSync(new URL(name, assets)), { level: 9 }).length;
  all += bytes;
  console.log(`${(bytes / 1024).toFixed(1).padStart(7)} KiB  ${name}`);
}
console.log(`${(all / 1024).toFixed(1).padStart(7)} KiB  all scripts and styles, gzip; at most ${FIRST_LOAD_KIB_MAX}`);
if (files.length === 0 || all > FIRST_LOAD_KIB_MAX * 1024) {
  console.error("the console is larger than its budget, or was not built");
  process.exit(1);
}
