import type { Schemas } from "../../api/client";

/** Identifiers by which people know each other, before those that only machines know. */
const SPEAKING = ["email", "phone", "loyalty_card", "user_id"];

const words = (value: unknown) => (typeof value === "string" && value.trim() !== "" ? value.trim() : null);

/** The first of these traits that says something. SDKs write `firstName`, files often `first_name`. */
function trait(traits: Schemas["Profile"]["traits"], ...names: string[]): string | null {
  for (const name of names) {
    const found = words(traits[name]);
    if (found) return found;
  }
  return null;
}

/** What to call a person: her name, else her best identifier; `null` for somebody who left nothing but a browser. */
export function nameOf(profile: Pick<Schemas["Profile"], "traits" | "identifiers">): string | null {
  const { traits } = profile;
  const whole = [trait(traits, "firstName", "first_name", "firstname"), trait(traits, "lastName", "last_name", "lastname")].filter(Boolean).join(" ");
  return whole || trait(traits, "name", "full_name") || (speaking(profile)[0]?.value ?? null);
}

/** The identifiers that a person would say at a till or on the telephone, the best first. */
export function speaking({ identifiers }: Pick<Schemas["Profile"], "identifiers">): Schemas["SeenIdentifier"][] {
  const rank = (namespace: string) => (SPEAKING.includes(namespace) ? SPEAKING.indexOf(namespace) : SPEAKING.length);
  return identifiers.filter(({ namespace }) => namespace !== "anonymous_id").sort((one, other) => rank(one.namespace) - rank(other.namespace));
}
