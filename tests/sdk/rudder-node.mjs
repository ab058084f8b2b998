// Sends mixed calls with the unmodified @rudderstack/rudder-sdk-node. Started by test_sdks.py; see calls.py.
import Analytics from "@rudderstack/rudder-sdk-node";
import { finish, message, parameters, pause } from "./calls.mjs";

const BATCH = 20;
const { host, writeKey, calls } = parameters();
// The options of docs/guide/sdks/rudder-node.md: without them this SDK waits for ever, gives up on a timeout, and after three retries.
const analytics = new Analytics(writeKey, {
  dataPlaneUrl: host,
  retryCount: 10,
  axiosConfig: { timeout: 2_000, transitional: { clarifyTimeoutError: true } },
  axiosRetryConfig: { shouldResetTimeout: true },
  errorHandler: () => {},
  flushAt: BATCH,
  flushInterval: 500,
  logLevel: "none",
});
const sent = [];
const errors = [];
const settled = [];

for (let call = 0; call < calls; call += 1) {
  if (call === Math.floor(calls / 2)) await pause();
  const [kind, content] = message(call);
  // The SDK makes ids itself, but tells them to nobody; so the caller gives them.
  const messageId = crypto.randomUUID();
  sent.push([call, kind, messageId, content.userId]);
  settled.push(
    new Promise((resolve) => {
      analytics[kind]({ ...content, messageId }, (error) => {
        // An answer that began with 200 and broke off: the SDK calls it a failure and does not try again, and all is stored.
        const stored = error?.response?.status === 200;
        if (error && !stored) errors.push(`${error.code ?? ""} ${error.response?.status ?? ""} ${error.message}`);
        resolve();
      });
    }),
  );
}
// One flush sends one batch at most.
for (let left = calls; left > 0; left -= BATCH) await analytics.flush();
await Promise.all(settled);
finish(sent, errors);
