// Which of Segment's actions answers to which connector, and the same person written as each of the two wants her.
//
// `theirs` names destination and action of npm @segment/action-destinations, with its settings and payload; `ours` has the
// settings of the connector and the fields of an activation's `map`. Hashing, addresses, methods and bodies are then compared.
// `removal` is what of theirs takes a person out again, where they have it; ours is what `segment.exited` sends. `shape` reads a
// body that both write by columns.

const ORDER = { event_id: "o-1042", time: "2026-11-28T09:59:00.000Z", value: 59.9, currency: "EUR" };
const PHONE = "+33612345678";
/** What a browser's click and cookie left behind. */
const CLICKS = { fbc: "fb.1.1764323000000.Click", fbp: "fb.1.1764320000000.123", ttclid: "TtClick", ttp: "TtCookie", sccid: "ScClick", scid: "ScCookie", epik: "dj0yEpik", gclid: "GClick", msclkid: "MsClick", rdt_cid: "RdtClick", li_fat_id: "LiFat" };
/** The order as an activation's `map` names it. */
const order = (p) => ({ ...ORDER, email: p.email, phone: PHONE, external_id: p.user_id, first_name: "Ana", last_name: "Martin", url: "https://shop.example/thanks", user_agent: "UA" });

/** Meta's columns by name, empty cells left out: each of the two declares other columns. */
const columns = ({ payload: { schema, data } }) => data.map((row) => Object.fromEntries(schema.map((name, n) => [name, row[n]]).filter(([, cell]) => cell !== "")));

export const actions = {
  "meta-custom-audiences": {
    theirs: { destination: "facebook-custom-audiences", action: "sync", batch: true, auth: { accessToken: "t" }, settings: { retlAdAccountId: "1" }, data: { audienceMembership: [true] } },
    payload: (p) => ({ external_audience_id: "77", externalId: p.user_id, email: p.email, phone: PHONE, name: { first: "Zoé-Ana", last: "Martin" }, city: "Saint-Étienne", zip: "42 000", country: "FR", mobileAdId: "abc-1" }),
    settings: { access_token: "t", audience: "77" },
    data: (p) => ({ external_id: p.user_id, email: p.email, phone: PHONE, first_name: "Zoé-Ana", last_name: "Martin", city: "Saint-Étienne", postcode: "42 000", country: "FR", madid: "abc-1" }),
    removal: { data: { audienceMembership: [false] } },
    shape: columns,
  },
  "linkedin-audiences": {
    theirs: { destination: "linkedin-audiences", action: "updateAudience", batch: true, auth: { accessToken: "t" }, settings: { ad_account_id: "1", send_email: true, send_google_advertising_id: false }, answers: { dmpSegments: { elements: [{ id: 77 }] } } },
    payload: (p) => ({ email: p.email, source_segment_id: "vip", personas_audience_key: "vip", dmp_user_action: "ADD", enable_batching: true }),
    settings: { token: "t", segment: "77" },
    data: (p) => ({ email: p.email }),
    removal: { payload: (p) => ({ email: p.email, source_segment_id: "vip", personas_audience_key: "vip", dmp_user_action: "REMOVE", enable_batching: true }) },
  },
  "snapchat-audiences": {
    theirs: { destination: "snap-audiences", action: "syncAudience", batch: true, auth: { accessToken: "<access_token>" }, settings: { ad_account_id: "1" } },
    payload: (p) => ({ external_audience_id: "77", audienceKey: "vip", props: { vip: true }, email: p.email }),
    settings: { client_id: "c", client_secret: "s", refresh_token: "r", segment: "77" },
    data: (p) => ({ email: p.email }),
    removal: { payload: (p) => ({ external_audience_id: "77", audienceKey: "vip", props: { vip: false }, email: p.email }) },
  },
  iterable: {
    theirs: { destination: "iterable-lists", action: "syncAudience", batch: true, settings: { apiKey: "k" }, audienceSettings: { globalUnsubscribe: false } },
    payload: (p) => ({ segmentAudienceId: "77", segmentAudienceKey: "vip", traitsOrProperties: { vip: true }, email: p.email, dataFields: { favourite: "candle" } }),
    settings: { api_key: "k", list: "77" },
    data: (p) => ({ email: p.email, favourite: "candle" }),
    removal: { payload: (p) => ({ segmentAudienceId: "77", segmentAudienceKey: "vip", traitsOrProperties: { vip: false }, email: p.email }) },
  },
  klaviyo: {
    theirs: { destination: "klaviyo", action: "addProfileToList", batch: true, settings: { api_key: "k" } },
    payload: (p) => ({ list_id: "Y6nRLr", email: p.email, phone_number: PHONE, external_id: p.user_id, first_name: "Ana", last_name: "Martin", properties: { favourite: "candle" } }),
    settings: { api_key: "k", list: "Y6nRLr" },
    data: (p) => ({ email: p.email, phone: PHONE, external_id: p.user_id, first_name: "Ana", last_name: "Martin", favourite: "candle" }),
    removal: { action: "removeProfile", batch: false, answers: { "profiles": { data: [{ id: "<klaviyo_id>" }] } }, payload: (p) => ({ list_id: "Y6nRLr", email: p.email }) },
  },
  hubspot: {
    theirs: { destination: "hubspot", action: "upsertContact", batch: true, auth: { accessToken: "t" }, settings: {}, answers: (p) => ({ "batch/read": { results: [], numErrors: 1, errors: [{ status: "error", category: "OBJECT_NOT_FOUND", context: { ids: [p.email.toLowerCase()] } }] } }) },
    payload: (p) => ({ email: p.email, firstname: "Ana", lastname: "Martin", phone: PHONE, properties: { favourite: "candle" } }),
    settings: { token: "t" },
    data: (p) => ({ email: p.email, first_name: "Ana", last_name: "Martin", phone: PHONE, favourite: "candle" }),
  },
  "salesforce-marketing-cloud": {
    theirs: { destination: "salesforce-marketing-cloud", action: "dataExtension", auth: { accessToken: "<access_token>" }, settings: { subdomain: "mc123" } },
    payload: (p) => ({ key: "VIP", keys: { contactKey: p.user_id }, values: { email: p.email, favourite: "candle", member: "true" } }),
    settings: { subdomain: "mc123", client_id: "c", client_secret: "s", key: "VIP" },
    data: (p) => ({ user_id: p.user_id, email: p.email, favourite: "candle" }),
    removal: { payload: (p) => ({ key: "VIP", keys: { contactKey: p.user_id }, values: { member: "false" } }) },
  },
  "twilio-sms": {
    theirs: { destination: "twilio", action: "sendSMS", settings: { accountId: `AC${"0".repeat(32)}`, token: "t", phoneNumber: "+33755500000" } },
    payload: () => ({ To: PHONE, Body: "Bonjour" }),
    settings: { sid: `AC${"0".repeat(32)}`, token: "t", from: "+33755500000", text: "Bonjour" },
    data: () => ({ phone: "06 12 34 56 78" }),
  },
  braze: {
    theirs: { destination: "braze", action: "updateUserProfile2", syncMode: "update", settings: { api_key: "k", endpoint: "https://rest.fra-01.braze.eu" } },
    payload: (p) => ({ external_id: p.user_id, email: p.email, first_name: "Ana", last_name: "Martin", phone: PHONE, custom_attributes: { in_vip: true } }),
    settings: { api_key: "k", instance: "fra-01.braze.eu" },
    data: (p) => ({ external_id: p.user_id, email: p.email, first_name: "Ana", last_name: "Martin", phone: PHONE }),
  },
  "customer-io": {
    theirs: { destination: "customerio", action: "createUpdatePerson", batch: true, settings: { siteId: "s", apiKey: "k", accountRegion: "EU 🇪🇺" } },
    payload: (p) => ({ id: p.user_id, email: p.email, custom_attributes: { first_name: "Ana", in_vip: true } }),
    settings: { site_id: "s", api_key: "k", host: "track-eu.customer.io" },
    data: (p) => ({ id: p.user_id, email: p.email, first_name: "Ana" }),
  },
  sendgrid: {
    theirs: { destination: "sendgrid", action: "updateUserProfile", settings: { sendGridApiKey: "k" } },
    payload: (p) => ({ primary_email: p.email, first_name: "Ana", last_name: "Martin", external_id: p.user_id }),
    settings: { api_key: "k", list: "0b5f2c1e-7b8e-4a52-9f53-1f0f9c9f9a10" },
    data: (p) => ({ email: p.email, external_id: p.user_id, first_name: "Ana", last_name: "Martin" }),
    removal: { destination: "sendgrid-audiences", action: "syncAudience", batch: true, answers: { "contacts/search": { result: [{ id: "<contact>" }] } }, payload: (p) => ({ external_audience_id: "0b5f2c1e-7b8e-4a52-9f53-1f0f9c9f9a10", segment_audience_key: "vip", traits_or_props: { vip: false }, identifiers: { email: p.email } }) },
  },
  drip: {
    theirs: { destination: "drip", action: "identify", batch: true, settings: { accountId: "9", apiKey: "k" } },
    payload: (p) => ({ email: p.email, phone: PHONE, custom_fields: { favourite: "candle" } }),
    settings: { account: "9", api_key: "k", tag: "vip" },
    data: (p) => ({ email: p.email, phone: PHONE, favourite: "candle" }),
  },
  loops: {
    theirs: { destination: "loops", action: "createOrUpdateContact", settings: { apiKey: "k" } },
    payload: (p) => ({ userId: p.user_id, email: p.email, firstName: "Ana", lastName: "Martin", customAttributes: { in_vip: true } }),
    settings: { api_key: "k" },
    data: (p) => ({ user_id: p.user_id, email: p.email, first_name: "Ana", last_name: "Martin" }),
  },
  emarsys: {
    theirs: { destination: "emarsys", action: "addToContactList", settings: { api_user: "u", api_password: "w" }, answers: { contact: { replyCode: 0 } } },
    payload: (p) => ({ contactlistid: 7, key_field: "3", key_value: p.email }),
    settings: { user: "u", secret: "w", list: "7" },
    data: (p) => ({ email: p.email }),
    removal: { action: "removeFromContactList" },
  },
  airship: {
    theirs: { destination: "airship", action: "manageTags", settings: { access_token: "t", app_key: "k", endpoint: "EU" } },
    payload: (p) => ({ named_user_id: p.user_id, tag_group: "jumelle", tags: { vip: true } }),
    settings: { token: "t", app_key: "k" },
    data: (p) => ({ named_user: p.user_id }),
    removal: { payload: (p) => ({ named_user_id: p.user_id, tag_group: "jumelle", tags: { vip: false } }) },
  },
  intercom: {
    theirs: { destination: "intercom", action: "identifyContact", auth: { accessToken: "t" }, settings: {}, answers: { "contacts/search": { total_count: 1, data: [{ id: "<contact>", external_id: "u1" }] } } },
    payload: (p) => ({ role: "user", external_id: p.user_id, email: p.email, phone: PHONE, name: "Ana Martin", custom_attributes: { in_vip: true } }),
    settings: { token: "t" },
    data: (p) => ({ external_id: p.user_id, email: p.email, phone: PHONE, name: "Ana Martin" }),
  },
  "meta-conversions": {
    theirs: { destination: "facebook-conversions-api", action: "purchase2", syncMode: "add", settings: { pixelId: "123456" } },
    payload: (p) => ({ action_source: "website", event_time: ORDER.time, event_id: ORDER.event_id, currency: "EUR", value: ORDER.value, event_source_url: "https://shop.example/thanks", user_data: { externalId: [p.user_id], email: p.email, phone: PHONE, firstName: "Ana", lastName: "Martin", city: "Paris", zip: "75002", country: "FR", client_user_agent: "UA", fbc: CLICKS.fbc, fbp: CLICKS.fbp } }),
    settings: { access_token: "undefined", pixel: "123456" },
    data: (p) => ({ ...order(p), city: "Paris", postcode: "75002", country: "FR", fbc: CLICKS.fbc, fbp: CLICKS.fbp }),
  },
  "google-analytics-4": {
    theirs: { destination: "google-analytics-4", action: "purchase", settings: { measurementId: "G-ABC123", apiSecret: "s" } },
    payload: (p) => ({ data_stream_type: "Web", client_id: "1.2", user_id: p.user_id, timestamp_micros: ORDER.time, currency: "EUR", value: ORDER.value, transaction_id: ORDER.event_id, items: [], ad_user_data_consent: "GRANTED", ad_personalization_consent: "GRANTED" }),
    settings: { measurement_id: "G-ABC123", api_secret: "s" },
    data: (p) => ({ ...order(p), client_id: "1.2", user_id: p.user_id }),
  },
  "google-offline-conversions": {
    theirs: { destination: "google-enhanced-conversions", action: "uploadClickConversion2", syncMode: "add", auth: { accessToken: "<access_token>" }, settings: { customerId: "1234567890", loginCustomerId: "1112223333" } },
    payload: (p) => ({ conversion_action: 77, gclid: CLICKS.gclid, conversion_timestamp: ORDER.time, email_address: p.email, phone_number: PHONE, phone_country_code: "+33", order_id: ORDER.event_id, value: ORDER.value, currency: "EUR", conversion_environment: "WEB", ad_user_data_consent_state: "GRANTED", ad_personalization_consent_state: "GRANTED" }),
    settings: { customer: "1234567890", login_customer: "1112223333", conversion_action: "77", developer_token: "undefined", client_id: "c", client_secret: "s", refresh_token: "r" },
    data: (p) => ({ ...order(p), gclid: CLICKS.gclid }),
  },
  "tiktok-events": {
    theirs: { destination: "tiktok-conversions", action: "reportWebEvent", settings: { accessToken: "t", pixelCode: "PIX" } },
    payload: (p) => ({ event_source: "web", event: "CompletePayment", event_id: ORDER.event_id, timestamp: ORDER.time, email: [p.email], phone_number: [PHONE], external_id: [p.user_id], ttclid: CLICKS.ttclid, ttp: CLICKS.ttp, url: "https://shop.example/thanks", user_agent: "UA", order_id: ORDER.event_id, currency: "EUR", value: ORDER.value }),
    settings: { access_token: "t", pixel: "PIX" },
    data: (p) => ({ ...order(p), ttclid: CLICKS.ttclid, ttp: CLICKS.ttp }),
  },
  "snapchat-conversions": {
    theirs: { destination: "snap-conversions-api", action: "reportConversionEvent", auth: { accessToken: "t" }, settings: { pixel_id: "pix-1" } },
    payload: (p) => ({ event_name: "PURCHASE", event_id: ORDER.event_id, event_time: ORDER.time, action_source: "website", event_source_url: "https://shop.example/thanks", user_data: { externalId: [p.user_id], email: p.email, phone: PHONE, firstName: "Ana", lastName: "Martin", client_user_agent: "UA", sc_click_id: CLICKS.sccid, sc_cookie1: CLICKS.scid }, custom_data: { currency: "EUR", value: ORDER.value, order_id: ORDER.event_id } }),
    settings: { access_token: "t", pixel: "pix-1" },
    data: (p) => ({ ...order(p), sccid: CLICKS.sccid, scid: CLICKS.scid }),
  },
  "pinterest-conversions": {
    theirs: { destination: "pinterest-conversions", action: "reportConversionEvent", settings: { ad_account_id: "549", conversion_token: "t" } },
    payload: (p) => ({ event_name: "checkout", action_source: "web", event_time: ORDER.time, event_id: ORDER.event_id, event_source_url: "https://shop.example/thanks", user_data: { email: [p.email], phone: [PHONE], external_id: [p.user_id], first_name: ["Ana"], last_name: ["Martin"], client_user_agent: "UA", click_id: CLICKS.epik }, custom_data: { currency: "EUR", value: ORDER.value, order_id: ORDER.event_id } }),
    settings: { token: "t", ad_account: "549" },
    data: (p) => ({ ...order(p), epik: CLICKS.epik }),
  },
  "linkedin-conversions": {
    theirs: { destination: "linkedin-conversions", action: "streamConversion", batch: true, auth: { accessToken: "t" }, settings: {}, hookOutputs: { id: "789", conversionRuleId: "789" } },
    payload: (p) => ({ conversionHappenedAt: ORDER.time, conversionValue: { currencyCode: "EUR", amount: "59.9" }, eventId: ORDER.event_id, email: p.email, linkedInUUID: CLICKS.li_fat_id, userInfo: { firstName: "Ana", lastName: "Martin" }, externalIds: [p.user_id] }),
    settings: { access_token: "t", conversion: "789" },
    data: (p) => ({ ...order(p), li_fat_id: CLICKS.li_fat_id }),
  },
  "microsoft-conversions": {
    theirs: { destination: "ms-bing-capi", action: "sendEvent", batch: true, settings: { UetTag: "97", ApiToken: "t", adStorageConsent: "G" } },
    payload: (p) => ({ data: { eventType: "custom", eventId: ORDER.event_id, eventName: "purchase", eventTime: ORDER.time, eventSourceUrl: "https://shop.example/thanks", adStorageConsent: "G" }, userData: { em: p.email, ph: PHONE, externalId: p.user_id, msclkid: CLICKS.msclkid, clientUserAgent: "UA" }, customData: { value: ORDER.value, currency: "EUR", transactionId: ORDER.event_id } }),
    settings: { token: "t", tag: "97" },
    data: (p) => ({ ...order(p), msclkid: CLICKS.msclkid }),
  },
  "microsoft-audiences": {
    theirs: { destination: "ms-bing-ads-audiences", action: "syncAudiences", batch: true, auth: { accessToken: "<access_token>" }, settings: { customerAccountId: "11", customerId: "22" } },
    payload: (p) => ({ audience_id: "77", traits_or_props: { vip: true }, audience_key: "vip", identifier_type: "Email", email: p.email, enable_batching: true, batch_size: 1000, computation_class: "audience" }),
    settings: { audience: "77", customer: "22", account: "11", developer_token: "", client_id: "c", client_secret: "s", refresh_token: "r" },
    data: (p) => ({ email: p.email }),
    removal: { payload: (p) => ({ audience_id: "77", traits_or_props: { vip: false }, audience_key: "vip", identifier_type: "Email", email: p.email, enable_batching: true, batch_size: 1000, computation_class: "audience" }) },
  },
  "reddit-conversions": {
    theirs: { destination: "reddit-conversions-api", action: "standardEvent", batch: true, settings: { ad_account_id: "t2_a", conversion_token: "t" } },
    payload: (p) => ({ event_at: ORDER.time, tracking_type: "Purchase", click_id: CLICKS.rdt_cid, user: { email: p.email, external_id: p.user_id, phone_number: PHONE, user_agent: "UA" }, event_metadata: { currency: "EUR", value_decimal: ORDER.value }, conversion_id: ORDER.event_id }),
    settings: { token: "t", ad_account: "t2_a" },
    data: (p) => ({ ...order(p), rdt_cid: CLICKS.rdt_cid }),
  },
  "reddit-audiences": {
    theirs: { destination: "reddit-audiences", action: "syncAudience", batch: true, auth: { accessToken: "<access_token>" }, settings: { ad_account_id: "t2_a" } },
    payload: (p) => ({ segment_computation_action: "audience", computation_key: "vip", external_audience_id: "77", email: p.email, traits_or_props: { vip: true }, enable_batching: true }),
    settings: { audience: "77", client_id: "c", client_secret: "s", refresh_token: "r" },
    data: (p) => ({ email: p.email }),
    removal: { payload: (p) => ({ segment_computation_action: "audience", computation_key: "vip", external_audience_id: "77", email: p.email, traits_or_props: { vip: false }, enable_batching: true }) },
  },
  "amazon-conversions": {
    theirs: { destination: "amazon-conversions-api", action: "trackConversion", batch: true, auth: { accessToken: "<access_token>" }, settings: { region: "https://advertising-api-eu.amazon.com", advertiserId: "999" } },
    payload: (p) => ({ name: "order", eventType: "OFF_AMAZON_PURCHASES", eventActionSource: "website", countryCode: "FR", timestamp: ORDER.time, value: ORDER.value, currencyCode: "EUR", clientDedupeId: ORDER.event_id, matchKeys: { email: p.email, phone: PHONE, firstName: "Ana", lastName: "Martin" }, consent: { amznAdStorage: "GRANTED", amznUserData: "GRANTED" }, enable_batching: true }),
    settings: { advertiser: "999", client_id: "", client_secret: "s", refresh_token: "r" },
    data: (p) => order(p),
  },
  "algolia-insights": {
    theirs: { destination: "algolia-insights", action: "conversionEvents", settings: { appId: "APP", apiKey: "k" } },
    payload: (p) => ({ eventSubtype: "purchase", products: [{ product_id: "sku1" }], index: "products", userToken: p.user_id, timestamp: ORDER.time, value: ORDER.value, currency: "EUR", eventName: "Order Completed", eventType: "conversion" }),
    settings: { app: "APP", api_key: "k", index: "products" },
    data: (p) => ({ ...order(p), user_token: p.user_id, products: ["sku1"] }),
  },
  slack: {
    theirs: { destination: "slack", action: "postToChannel", settings: {} },
    payload: (p) => ({ url: "https://hooks.slack.com/services/T0/B0/x", text: "Someone entered vip" }),
    settings: { workspace: "T0", webhook: "B0", key: "x" },
    data: () => ({}),
  },
  zapier: {
    theirs: { destination: "zapier", action: "send", settings: {} },
    payload: (p) => ({ data: { id: "dlv_1", type: "segment.entered", activation: "vip", segment: "vip", at: "2026-11-28T09:59:00.000Z", email: p.email, consent: { state: "granted", since: "2026-11-27T08:30:00Z" } }, zapSubscriptionUrl: "https://hooks.zapier.com/hooks/catch/1/abc" }),
    settings: { account: "1", hook: "abc" },
    data: (p) => ({ email: p.email }),
  },
  posthog: {
    theirs: { destination: "posthog", action: "event", batch: true, settings: { api_key: "phc", project_id: "1", endpoint: "https://eu.i.posthog.com" } },
    payload: (p) => ({ event_type: "track", event_name: "$identify", anonymous_event_capture: true, distinct_id: p.user_id, properties: { $set: { email: p.email, in_vip: true } }, timestamp: ORDER.time }),
    settings: { api_key: "phc", project: "1", personal_key: "phx" },
    data: (p) => ({ distinct_id: p.user_id, email: p.email }),
  },
  amplitude: {
    theirs: { destination: "amplitude", action: "identifyUser", settings: { apiKey: "k", secretKey: "s", endpoint: "europe" } },
    payload: (p) => ({ user_id: p.user_id, user_properties: { email: p.email, in_vip: true }, insert_id: "dlv_1" }),
    settings: { api_key: "k", secret_key: "s" },
    data: (p) => ({ user_id: p.user_id, email: p.email }),
  },
  mixpanel: {
    theirs: { destination: "mixpanel", action: "identifyUser", settings: { projectToken: "t", apiSecret: "s", apiRegion: "EU 🇪🇺" } },
    payload: (p) => ({ user_id: p.user_id, traits: { email: p.email, in_vip: true } }),
    settings: { token: "t" },
    data: (p) => ({ distinct_id: p.user_id, email: p.email }),
  },
  insider: {
    theirs: { destination: "insider", action: "updateUserProfile", settings: { account_name: "maison", ucd_key: "k" } },
    payload: (p) => ({ email_as_identifier: true, phone_number_as_identifier: false, append_arrays: false, email: p.email, uuid: p.user_id, firstName: "Ana", custom: { in_vip: true } }),
    settings: { partner: "maison", token: "k" },
    data: (p) => ({ uuid: p.user_id, email: p.email, first_name: "Ana" }),
  },
};
