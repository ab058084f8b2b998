// Sends mixed calls with the unmodified @segment/analytics-node. Started by test_sdks.py; see calls.py.
import { Analytics } from "@segment/analytics-node";
import { finish, message, parameters, pause } from "./calls.mjs";

const { host, writeKey, calls } = parameters();
const analytics = new Analytics({ writeKey, host, httpRequestTimeout: 2_000 });
const sent = [];
const errors = [];

for (let call = 0; call < calls; call += 1) {
  if (call === Math.floor(calls / 2)) await pause();
  const [kind, content] = message(call);
  analytics[kind](content, (error, context) => {
    if (error) errors.push(String(error));
    else sent.push([call, kind, context.event.messageId, context.event.userId]);
  });
}
await analytics.closeAndFlush({ timeout: 120_000 });
finish(sent, errors);
