import react from "@vitejs/plugin-react";
import { defineConfig } from "vitest/config";

// The content security policy that the console is written for: nothing inline, nothing from elsewhere. The server sends the same.
const contentSecurityPolicy =
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; connect-src 'self'; " +
  "base-uri 'none'; form-action 'self'; frame-ancestors 'none'";
const server = process.env.JUMELLE_URL ?? "http://127.0.0.1:8080";
const proxy = Object.fromEntries(["/v1", "/healthz", "/readyz", "/metrics", "/openapi.json"].map((path) => [path, server]));

export default defineConfig({
  plugins: [react()],
  server: { host: "127.0.0.1", proxy },
  preview: { host: "127.0.0.1", proxy, headers: { "content-security-policy": contentSecurityPolicy } },
  build: { target: "es2022", assetsInlineLimit: 0, modulePreload: { polyfill: false }, reportCompressedSize: false, chunkSizeWarningLimit: 700 },
  test: { environment: "node", include: ["src/**/*.test.ts"] },
});
