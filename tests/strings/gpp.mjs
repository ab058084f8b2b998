// Random GPP strings by @iabgpp/cmpapi, and our strings decoded by it. `gpp.mjs encode SEED COUNT` writes {string, sections};
// `gpp.mjs decode` reads strings and writes sections. Its default padding is one of the three in the wild; `pads` are the others.
import readline from "node:readline";
import { GppModel, Sections } from "@iabgpp/cmpapi";

/** Mulberry32. */
const dice = (seed) => () => {
  seed = (seed + 0x6d2b79f5) | 0;
  let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
  t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
  return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
};

const NAMES = Sections.SECTION_ORDER.filter((name) => name.startsWith("us"));

const sectionsOf = (string) => {
  const model = new GppModel(string);
  const sections = {};
  for (const name of NAMES) {
    if (!model.hasSection(name)) continue;
    // A list of segments' fields, by name.
    sections[name] = model.getSection(name);
  }
  return { sectionIds: model.getSectionIds(), sections };
};

const random = (roll) => {
  const below = (n) => Math.floor(roll() * n);
  const model = new GppModel();
  const names = NAMES.filter(() => roll() < 0.25);
  if (!names.length) names.push(NAMES[below(NAMES.length)]);
  for (const name of names) {
    if (name === "uspv1") {
      for (const field of ["Notice", "OptOutSale", "LspaCovered"]) model.setFieldValue(name, field, "YN-"[below(3)]);
      continue;
    }
    const touch = (field, value) => model.setFieldValue(name, field, value);
    const version = name === "usnat" ? 1 + below(2) : 1;
    const isMspa = ["usmd", "usin", "usky", "usri"].includes(name);
    touch(isMspa ? "MspaVersion" : "Version", version);
    for (const [field, value] of Object.entries(Object.assign({}, ...[model.getSection(name)].flat()))) {
      if (/Version|SegmentType|Included/.test(field)) continue;
      const choice = field === "MspaCoveredTransaction" ? () => 1 + below(2) : () => below(3);
      if (typeof value === "boolean") touch(field, roll() < 0.5);
      else if (Array.isArray(value)) {
        // Version 1 has fewer: what it can't say is 0.
        const kept = name === "usnat" && version === 1 ? (field === "SensitiveDataProcessing" ? 12 : 2) : 99;
        const full = name === "usnat" ? (field === "SensitiveDataProcessing" ? 16 : 3) : value.length;
        touch(field, Array.from({ length: full }, (_, n) => (n < kept ? choice() : 0)));
      } else touch(field, choice());
    }
    for (const included of ["GpcSegmentIncluded", "SensitiveDataConsentSegmentIncluded"]) {
      if (model.hasField(name, included)) touch(included, roll() < 0.5);
    }
  }
  return model.encode();
};

const [what, seed, count] = process.argv.slice(2);
if (what === "encode") {
  const roll = dice(Number(seed));
  for (let n = 0; n < Number(count); n++) {
    const string = random(roll);
    console.log(JSON.stringify({ string, ...sectionsOf(string) }));
  }
} else {
  for await (const line of readline.createInterface({ input: process.stdin })) console.log(JSON.stringify(sectionsOf(line)));
}
