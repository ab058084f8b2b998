// Sends mixed calls with the unmodified @segment/analytics-node. Started by test_sdks.py.
//
// Arguments: host, write key, number of calls. After half of them it prints `half` and waits for a line on standard input; at
// the end it prints, as JSON, what it sent: a list of [call, type, message id].
import { once } from "node:events";
import { Analytics } from "@segment/analytics-node";

const [host, writeKey, count] = process.argv.slice(2);
const calls = Number(count);
const analytics = new Analytics({ writeKey, host, path: "/v1/batch" });
const sent = [];
const errors = [];

// One of the six calls, in turn; `context.call` is its number.
function send(call) {
  const common = { userId: `user-${call % 50}`, context: { call } };
  const kinds = {
    track: { ...common, event: "Product Viewed", properties: { product_id: `p${call}`, price: 89.9 } },
    identify: { ...common, traits: { email: `user-${call % 50}@example.org`, city: "Lille" } },
    page: { ...common, name: "Élan — chaussures 👟", category: "shop", properties: { path: `/p/${call}` } },
    screen: { ...common, name: "Basket", category: "shop", properties: { items: call } },
    group: { ...common, groupId: `account-${call % 7}`, traits: { plan: "pro" } },
    alias: { ...common, previousId: `before-${call}` },
  };
  const kind = Object.keys(kinds)[call % 6];
  analytics[kind](kinds[kind], (error, context) => {
    if (error) errors.push(String(error));
    else sent.push([call, kind, context.event.messageId]);
  });
}

for (let call = 0; call < calls; call += 1) {
  if (call === Math.floor(calls / 2)) {
    console.log("half");
    await once(process.stdin, "data");
  }
  send(call);
}
await analytics.closeAndFlush({ timeout: 120_000 });
process.stdin.pause();
if (errors.length > 0) {
  console.error(`the SDK gave up: ${errors.slice(0, 3).join("; ")}`);
  process.exitCode = 1;
}
console.log(JSON.stringify(sent));
