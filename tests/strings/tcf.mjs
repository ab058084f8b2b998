// Random models of TC strings, encoded by @iabtechlabtcf/core, and our strings decoded by it. One line of JSON each.
// `tcf.mjs encode SEED COUNT` writes {string, model}; `tcf.mjs decode` reads strings and writes models.
import readline from "node:readline";
import { GVL, PurposeRestriction, Segment, TCModel, TCString } from "@iabtechlabtcf/core";

const VENDOR_MAX = 1_600;

/** Mulberry32: the same numbers for the same seed on every machine. */
const dice = (seed) => () => {
  seed = (seed + 0x6d2b79f5) | 0;
  let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
  t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
  return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
};

const all = Array.from({ length: 11 }, (_, n) => n + 1);

/** A vendor list in which every vendor may do everything: what the models say is what the strings say. */
const list = (last, vendorListVersion, tcfPolicyVersion) => {
  const vendors = {};
  for (let id = 1; id <= last; id++) {
    vendors[id] = { id, name: `v${id}`, purposes: all, legIntPurposes: [2, 7, 8, 9, 10, 11], flexiblePurposes: all,
      specialPurposes: [], features: [], specialFeatures: [], policyUrl: "" };
  }
  const purposes = Object.fromEntries(all.map((id) => [id, { id, name: `p${id}`, description: "" }]));
  return new GVL({ gvlSpecificationVersion: 3, vendorListVersion, tcfPolicyVersion, lastUpdated: "2026-01-01T00:00:00Z", purposes,
    specialPurposes: {}, features: {}, specialFeatures: { 1: { id: 1 }, 2: { id: 2 } }, stacks: {}, dataCategories: {}, vendors });
};

/** The library copies the list for each string, so most models use a short one. */
const VENDORS_SHORT = 150;

const ids = (vector) => [...vector.values()].sort((a, b) => a - b);

const modelOf = (tc) => ({
  version: tc.version, created: tc.created.getTime(), lastUpdated: tc.lastUpdated.getTime(), cmpId: tc.cmpId, cmpVersion: tc.cmpVersion,
  consentScreen: tc.consentScreen, consentLanguage: tc.consentLanguage, vendorListVersion: tc.vendorListVersion,
  policyVersion: tc.policyVersion, isServiceSpecific: tc.isServiceSpecific, useNonStandardTexts: tc.useNonStandardTexts,
  specialFeatureOptins: ids(tc.specialFeatureOptins), purposeConsents: ids(tc.purposeConsents),
  purposeLegitimateInterests: ids(tc.purposeLegitimateInterests), purposeOneTreatment: tc.purposeOneTreatment,
  publisherCountryCode: tc.publisherCountryCode, vendorConsents: ids(tc.vendorConsents),
  vendorLegitimateInterests: ids(tc.vendorLegitimateInterests), vendorsDisclosed: ids(tc.vendorsDisclosed),
  vendorsAllowed: ids(tc.vendorsAllowed), publisherConsents: ids(tc.publisherConsents),
  publisherLegitimateInterests: ids(tc.publisherLegitimateInterests), numCustomPurposes: tc.numCustomPurposes,
  publisherCustomConsents: ids(tc.publisherCustomConsents),
  publisherCustomLegitimateInterests: ids(tc.publisherCustomLegitimateInterests),
  publisherRestrictions: tc.publisherRestrictions.getRestrictions()
    .map((one) => ({ purposeId: one.purposeId, restrictionType: one.restrictionType, vendors: tc.publisherRestrictions.getVendors(one) }))
    .sort((a, b) => a.purposeId - b.purposeId || a.restrictionType - b.restrictionType),
});

const random = (roll, lists) => {
  const isLong = roll() < 0.05;
  const below = (n) => Math.floor(roll() * n);
  const some = (last, chance) => Array.from({ length: last }, (_, n) => n + 1).filter(() => roll() < chance);
  /** Few, many, in runs, or none: bit fields and ranges. */
  const vendors = () => {
    const last = 1 + below(isLong ? VENDOR_MAX : VENDORS_SHORT);
    switch (below(4)) {
      case 0: return [];
      case 1: return some(last, roll());
      case 2: return some(last, 0.01);
      default: {
        const found = [];
        for (let id = 1 + below(20); id <= last; id += 1 + below(200)) for (const end = id + below(80); id < end && id <= last; id++) found.push(id);
        return found;
      }
    }
  };
  const letters = () => String.fromCharCode(65 + below(26), 65 + below(26));
  const tc = new TCModel();
  tc.gvl = lists[isLong ? 0 : below(lists.length)];
  tc.cmpId = 2 + below(4_000);
  tc.cmpVersion = below(4_096);
  tc.consentScreen = below(64);
  tc.consentLanguage = letters();
  tc.publisherCountryCode = letters();
  tc.created = new Date(Date.UTC(2020 + below(7), below(12), 1 + below(28)));
  tc.lastUpdated = new Date(tc.created.getTime() + below(400) * 86_400_000);
  // Either scope is read. The one that has ended is written by naming its segments.
  tc.isServiceSpecific = roll() < 0.9;
  tc.useNonStandardTexts = roll() < 0.5;
  tc.purposeOneTreatment = roll() < 0.2;
  tc.supportOOB = true;
  tc.specialFeatureOptins.set(some(12, 0.3));
  tc.purposeConsents.set(some(24, roll()));
  tc.purposeLegitimateInterests.set(some(24, roll()));
  tc.vendorConsents.set(vendors());
  tc.vendorLegitimateInterests.set(vendors());
  tc.vendorsDisclosed.set(vendors());
  tc.vendorsAllowed.set(vendors());
  tc.publisherConsents.set(some(24, roll()));
  tc.publisherLegitimateInterests.set(some(24, roll()));
  tc.numCustomPurposes = roll() < 0.5 ? 0 : below(64);
  tc.publisherCustomConsents.set(some(tc.numCustomPurposes, roll()));
  tc.publisherCustomLegitimateInterests.set(some(tc.numCustomPurposes, roll()));
  for (let n = below(4); n > 0; n--) {
    const restriction = new PurposeRestriction(1 + below(11), below(3));
    for (const vendor of vendors()) tc.publisherRestrictions.add(vendor, restriction);
  }
  // Segments after the core come in any order, or not at all.
  const segments = [Segment.VENDORS_DISCLOSED, Segment.PUBLISHER_TC, Segment.VENDORS_ALLOWED].filter(() => roll() < 0.7);
  for (let n = segments.length - 1; n > 0; n--) {
    const other = below(n + 1);
    [segments[n], segments[other]] = [segments[other], segments[n]];
  }
  return TCString.encode(tc, { segments: [Segment.CORE, ...segments] });
};

const [what, seed, count] = process.argv.slice(2);
if (what === "encode") {
  const roll = dice(Number(seed));
  const lists = Array.from({ length: 24 }, (_, n) => list(n ? VENDORS_SHORT : VENDOR_MAX, 1 + Math.floor(roll() * 4_000), 1 + Math.floor(roll() * 6)));
  const lines = [];
  for (let n = 0; n < Number(count); n++) {
    const string = random(roll, lists);
    lines.push(JSON.stringify({ string, model: modelOf(TCString.decode(string)) }));
  }
  process.stdout.write(lines.join("\n") + "\n");
} else {
  for await (const line of readline.createInterface({ input: process.stdin })) {
    process.stdout.write(JSON.stringify(modelOf(TCString.decode(line))) + "\n");
  }
}
