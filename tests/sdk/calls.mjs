// The six calls that every sender makes in turn, for the SDKs in Node, and how a sender talks to the test: see calls.py.
import { once } from "node:events";

/** Type and message of a call; `context.call` is its number. */
export function message(call) {
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
  return [kind, kinds[kind]];
}

/** The arguments of a sender. */
export function parameters() {
  const [host, writeKey, count] = process.argv.slice(2);
  return { host, writeKey, calls: Number(count) };
}

/** Says `half`, then waits until the test says to go on. */
export async function pause() {
  console.log("half");
  await once(process.stdin, "data");
}

/** Prints what was sent; with errors, the sender has failed. */
export function finish(sent, errors) {
  process.stdin.pause();
  if (errors.length > 0) {
    console.error(`the SDK gave up: ${errors.slice(0, 3).join("; ")}`);
    process.exitCode = 1;
  }
  console.log(JSON.stringify(sent));
}
