import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";

const ROOT = resolve(import.meta.dirname, "../..");
/** The binary under test. */
export const BINARY = process.env.JUMELLE_BINARY ?? resolve(ROOT, process.env.CARGO_TARGET_DIR ?? "target", "debug/jumelle");
const TOKEN = "test-admin-token-0123456789";
const START_MS_MAX = 60_000;

/** A running `jumelle serve` on a directory of its own. */
export interface Server {
  url: string;
  token: string;
  /** A JSON answer, as the administrator; anything but a 2xx is an error that says what was answered. */
  api<T = any>(path: string, init?: RequestInit): Promise<T>;
  /** Ends it (by its process id) and takes its directory away. */
  stop(): Promise<void>;
}

/** A port that was free a moment ago. */
async function freePort(): Promise<number> {
  const listener = createServer();
  await new Promise<void>((done) => listener.listen(0, "127.0.0.1", done));
  const { port } = listener.address() as { port: number };
  await new Promise((done) => listener.close(done));
  return port;
}

/** Starts the real binary with the text of a `workspace.yaml` and waits until it is ready. */
export async function startServer({ workspace, args = [] }: { workspace: string; args?: string[] }): Promise<Server> {
  const directory = mkdtempSync(join(tmpdir(), "jumelle-browser-"));
  const definitions = join(directory, "workspace.yaml");
  const log = join(directory, "server.log");
  writeFileSync(definitions, workspace);
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  const command = ["serve", "--data", join(directory, "data"), "--listen", `127.0.0.1:${port}`, "--workspace", definitions, ...args];
  const output = openSync(log, "a");
  const child: ChildProcess = spawn(BINARY, command, {
    stdio: ["ignore", output, output],
    env: { ...process.env, JUMELLE_ADMIN_TOKEN: TOKEN },
  });
  const ended = new Promise<void>((done) => child.once("exit", () => done()).once("error", () => done()));
  const said = () => readFileSync(log, "utf8").split("\n").slice(-30).join("\n");
  const deadline = Date.now() + START_MS_MAX;
  const isReady = () => fetch(`${url}/readyz`).then((answer) => answer.ok, () => false);
  while (!(await isReady())) {
    if (child.exitCode !== null || child.pid === undefined) throw new Error(`${BINARY} ended with ${child.exitCode}:\n${said()}`);
    if (Date.now() > deadline) {
      child.kill("SIGKILL");
      throw new Error(`not ready after ${START_MS_MAX} ms:\n${said()}`);
    }
    await new Promise((wake) => setTimeout(wake, 50));
  }
  return {
    url,
    token: TOKEN,
    async api(path, init = {}) {
      const answer = await fetch(url + path, { ...init, headers: { authorization: `Bearer ${TOKEN}`, ...init.headers } });
      const text = await answer.text();
      if (!answer.ok) throw new Error(`${init.method ?? "GET"} ${path} answered ${answer.status}: ${text}`);
      return text && JSON.parse(text);
    },
    async stop() {
      child.kill("SIGKILL");
      await ended;
      rmSync(directory, { recursive: true, force: true });
    },
  };
}
