// What Segment's own destinations (npm @segment/action-destinations, MIT) send for people, against what `jumelle connector preview`
// prints for the same people. Differences that are meant stand in differences.json, each with its reason; any other one fails.
//
// Their functions are called with a recorder in the place of their HTTP client; nothing leaves this machine.

import { execFileSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { actions } from "./segment_actions.mjs";

const here = dirname(fileURLToPath(import.meta.url));
const binary = process.env.JUMELLE_BINARY ?? join(here, "../../target/debug/jumelle");
const require = createRequire(import.meta.url);
const theirs = (path) => require(join(here, "node_modules/@segment/action-destinations/dist/destinations", path));

function recorder(answers = {}) {
  const seen = [];
  const request = async (url, options = {}) => {
    const body = options.json ?? (options.body === undefined ? undefined : String(options.body));
    const answer = Object.entries(answers).find(([part]) => url.includes(part))?.[1] ?? {};
    seen.push({ method: (options.method ?? "GET").toUpperCase(), url, headers: options.headers ?? {}, body: body && structuredClone(body) });
    return { status: 200, data: answer, content: JSON.stringify(answer), json: async () => answer, headers: new Headers() };
  };
  return { seen, request };
}

const people = {
  plain: { user_id: "u1", email: "ana@example.org" },
  upper: { user_id: "u2", email: "Ana.Martin@Example.ORG" },
  free: { user_id: "u3", email: "marie.curie@free.fr" },
  gmail: { user_id: "u4", email: "jean.paul.dupont+news@gmail.com" },
};

const pairs = {
  batch: {
    settings: { rest_key: "rk", project_key: "pk" },
    async send(person) {
      const { seen, request } = recorder({ "profiles/update": { code: "SUCCESS" } });
      const destination = theirs("batch/index.js").default;
      const settings = { apiToken: "rk", projectKey: "pk" };
      const extended = destination.extendRequest?.({ settings }) ?? {};
      const payload = { identifiers: { custom_id: person.user_id }, profileAttributes: { email_address: person.email, email_marketing: "subscribed" } };
      await destination.actions.updateProfile.performBatch(request, { payload: [payload], settings });
      return { ...seen.at(-1), headers: { ...extended.headers, ...seen.at(-1).headers } };
    },
  },
  "criteo-audiences": {
    settings: { client_id: "c", client_secret: "s", audience: "12" },
    removal: {},
    async send(person, op) {
      const { seen, request } = recorder({ oauth2: { access_token: "<access_token>" } });
      const criteo = theirs("criteo-audiences/criteo-audiences.js");
      const operation = { operation_type: op, contactlist_id: "12", user_list: [criteo.hash(person.email)] };
      await criteo.patchContactList(request, operation, { access_token: "<access_token>" });
      return seen.at(-1);
    },
  },
  "tiktok-audiences": {
    settings: { token: "t", advertiser: "9", audience: "7" },
    removal: {},
    async send(person, op) {
      const { seen, request } = recorder({ mapping: { code: 0 } });
      const payload = { email: person.email, send_email: true, send_phone: false, send_advertising_id: false, external_audience_id: "7" };
      await theirs("tiktok-audiences/functions.js").processPayload(request, { advertiserId: "9" }, [payload], op === "add" ? "add" : "delete");
      const extended = theirs("tiktok-audiences/index.js").default.extendRequest({ auth: { accessToken: "t" }, settings: {} });
      return { ...seen.at(-1), headers: { ...extended.headers, ...seen.at(-1).headers } };
    },
  },
};

/** One of their actions, called as their framework does, with its authentication's headers; the last request is the one compared. */
async function act({ destination: name, action: key, settings, auth, batch, syncMode, answers, hookOutputs, audienceSettings = {}, data: more }, payload) {
  const { seen, request } = recorder(answers);
  const destination = theirs(`${name}/index.js`).default;
  const data = {
    settings, auth, syncMode, payload: batch ? [payload] : payload, features: {}, logger: console, audienceSettings, ...more,
    hookOutputs: hookOutputs && { onMappingSave: { outputs: hookOutputs } },
    statsContext: { statsClient: { incr() {}, histogram() {}, set() {} }, tags: [] },
  };
  const extended = destination.extendRequest?.({ settings, auth, payload, features: {} }) ?? {};
  const headers = { ...extended.headers };
  if (extended.username !== undefined) headers.authorization = `Basic ${Buffer.from(`${extended.username}:${extended.password}`).toString("base64")}`;
  await destination.actions[key][batch ? "performBatch" : "perform"](request, data);
  const last = seen.at(-1);
  return { ...last, headers: { ...headers, ...last.headers } };
}

for (const [connector, { theirs: their, payload, settings, data, removal, shape }] of Object.entries(actions)) {
  const send = (person, op) => {
    const { payload: other, ...changes } = op === "remove" ? removal : {};
    const one = { ...their, ...changes };
    const answers = typeof one.answers === "function" ? one.answers(person) : one.answers;
    return act({ ...one, answers }, (other ?? payload)(person));
  };
  pairs[connector] = { settings, data, removal, shape, send, people: ["plain", "upper"] };
}

function ours(connector, settings, person, op) {
  const folder = mkdtempSync(join(tmpdir(), "jumelle-differential-"));
  try {
    writeFileSync(join(folder, "settings.json"), JSON.stringify(settings));
    const message = {
      id: "dlv_1", type: op === "add" ? "segment.entered" : "segment.exited", activation: "vip", segment: "vip", profile: "p_1", at: "2026-11-28T09:59:00.000Z", data: person,
      consent: { purpose: "marketing", channel: "email", state: "granted", since: "2026-11-27T08:30:00Z", receipt: "r_1" },
    };
    writeFileSync(join(folder, "messages.json"), JSON.stringify(message));
    const files = ["--settings", join(folder, "settings.json"), "--messages", join(folder, "messages.json")];
    const text = execFileSync(binary, ["connector", "preview", connector, ...files, "--show-secrets", "--json", "--connectors", join(here, "../../connectors")], { encoding: "utf8" });
    return JSON.parse(text).requests.at(-1);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

// Every leaf as path → value, so that a difference has a name.
function leaves(value, path = "", found = {}) {
  if (value !== null && typeof value === "object") {
    const entries = Object.entries(value);
    if (entries.length === 0) found[path] = JSON.stringify(value);
    for (const [key, inner] of entries) leaves(inner, path ? `${path}.${key}` : key, found);
  } else if (value !== undefined) {
    found[path] = value;
  }
  return found;
}

function comparable(request, shape) {
  const headers = Object.fromEntries(Object.entries(request.headers).map(([name, value]) => [name.toLowerCase(), value]));
  // Both write JSON; their client adds the type itself.
  for (const name of ["content-type", "accept", "user-agent"]) delete headers[name];
  // `null` is how a preview prints that there is none.
  const body = shape ? shape(request.body) : form(request.body ?? undefined);
  const found = leaves({ method: request.method, url: decodeURIComponent(request.url), headers, body });
  delete found.headers;
  return found;
}

/** A form as a map; what in it is JSON as JSON, and a list of one as that one: they send one person, we send lists. */
function form(body) {
  if (typeof body !== "string" || !/^[a-z_]+=/i.test(body)) return body;
  const read = (text) => {
    if (!/^[[{]/.test(text)) return text;
    const value = JSON.parse(text);
    return Array.isArray(value) && value.length === 1 ? value[0] : value;
  };
  return Object.fromEntries([...new URLSearchParams(body)].map(([name, value]) => [name, read(value)]));
}

const explained = JSON.parse(readFileSync(join(here, "differences.json"), "utf8"));
const used = new Set();
const counts = {};
const failures = [];
for (const [connector, pair] of Object.entries(pairs)) {
  const count = (counts[connector] = { compared: 0, same: 0 });
  for (const op of pair.removal ? ["add", "remove"] : ["add"]) {
    for (const [name, person] of Object.entries(people).filter(([name]) => pair.people?.includes(name) ?? true)) {
      const a = comparable(await pair.send({ ...person }, op), pair.shape);
      const b = comparable(ours(connector, pair.settings, pair.data?.(person) ?? person, op), pair.shape);
      for (const path of new Set([...Object.keys(a), ...Object.keys(b)])) {
        count.compared += 1;
        if (a[path] === b[path]) {
          count.same += 1;
          continue;
        }
        // Without `op` or `people` a difference is the same in every operation and of everybody.
        const explains = (one) => one.connector === connector && path === one.path && (one.op ?? op) === op && (!one.people || one.people.includes(name));
        const entry = explained.find(explains);
        if (entry) used.add(entry);
        else failures.push(`${connector}, ${op}, ${name}, ${path}: theirs ${JSON.stringify(a[path])}, ours ${JSON.stringify(b[path])}`);
      }
    }
  }
}
for (const entry of explained) {
  if (!used.has(entry)) failures.push(`explained, but not there: ${entry.connector} ${entry.path}`);
}
for (const folder of readdirSync(join(here, "../../connectors"))) {
  const manifest = readFileSync(join(here, "../../connectors", folder, "connector.yaml"), "utf8");
  const said = manifest.includes('by: outside_suite, source: "tests/connectors, npm @segment/action-destinations');
  if (said !== folder in pairs) failures.push(`${folder}: this suite is named by those compared here, and by no other`);
}
if (process.argv.includes("--table")) {
  const explainedOf = (connector) => explained.filter((entry) => entry.connector === connector).length;
  for (const [connector, { compared, same }] of Object.entries(counts).sort()) console.log(`| ${connector} | ${pairs[connector].removal ? "add, remove" : "add"} | ${compared} | ${same} | ${explainedOf(connector)} |`);
}
const total = (of) => Object.values(counts).reduce((sum, count) => sum + count[of], 0);
console.log(`${Object.keys(pairs).length} connectors, ${total("compared")} values compared, ${total("same")} the same, ${used.size} explained differences`);
for (const failure of failures) console.error(failure);
process.exit(failures.length ? 1 : 0);
