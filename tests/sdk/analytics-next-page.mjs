// What the page of analytics-next.mjs runs. Makes calls and gives [call, type, message id, user id] of each.
import { AnalyticsBrowser } from "@segment/analytics-next";

window.send = async (host, writeKey, from, to) => {
  const [protocol, address] = host.split("://");
  const analytics = AnalyticsBrowser.load(
    { writeKey, cdnURL: host },
    { integrations: { "Segment.io": { apiHost: `${address}/v1`, protocol } } },
  );
  analytics.on("error", (problem) => window.gaveUp(String(problem.reason)));
  const contexts = [];
  for (let call = from; call < to; call += 1) {
    const user = `user-${call % 50}`;
    const options = { context: { call } };
    const kinds = {
      track: () => analytics.track("Product Viewed", { product_id: `p${call}`, price: 89.9 }, options),
      identify: () => analytics.identify(user, { email: `${user}@example.org`, city: "Lille" }, options),
      page: () => analytics.page("shop", "Élan — chaussures 👟", { path: `/p/${call}` }, options),
      screen: () => analytics.screen("shop", "Basket", { items: call }, options),
      group: () => analytics.group(`account-${call % 7}`, { plan: "pro" }, options),
      alias: () => analytics.alias(user, `before-${call}`, options),
    };
    const kind = Object.keys(kinds)[call % 6];
    contexts.push(kinds[kind]().then(({ event }) => [call, kind, event.messageId, event.userId ?? null]));
  }
  return Promise.all(contexts);
};
