// Builds dist/tag.js and fails when it would weigh more than what we promise.
import { gzipSync } from "node:zlib";
import { build } from "esbuild";

/** Bytes of tag.js after gzip, at most. */
const GZIP_BYTES_MAX = 6 * 1024;

const { outputFiles } = await build({
  entryPoints: [new URL("src/tag.ts", import.meta.url).pathname],
  outfile: new URL("dist/tag.js", import.meta.url).pathname,
  bundle: true,
  minify: true,
  format: "iife",
  target: "es2020",
  charset: "utf8",
  legalComments: "none",
  write: false,
});
const [{ contents, path }] = outputFiles;
const bytes = gzipSync(contents, { level: 9 }).length;
console.log(`tag.js: ${contents.length} bytes, ${bytes} after gzip (${GZIP_BYTES_MAX} at most)`);
if (bytes > GZIP_BYTES_MAX) {
  process.exitCode = 1;
} else {
  const { mkdirSync, writeFileSync } = await import("node:fs");
  mkdirSync(new URL("dist/", import.meta.url), { recursive: true });
  writeFileSync(path, contents);
}
