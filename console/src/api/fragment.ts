/** A definition as it is sent to the server. */
export type Definition = Record<string, unknown>;

const PLAIN = /^[A-Za-z_][\w.-]*$/;
const WORDS_OF_YAML = new Set(["true", "false", "null", "yes", "no", "on", "off", "y", "n", "nan", "inf"]);

function scalar(value: unknown): string {
  // What could be read as something else is written as JSON, which YAML reads as it is.
  if (typeof value === "string" && PLAIN.test(value) && !WORDS_OF_YAML.has(value.toLowerCase())) return value;
  return JSON.stringify(value);
}

function written(value: unknown, indent: string): string {
  if (Array.isArray(value)) return ` [${value.map(scalar).join(", ")}]`;
  if (typeof value !== "object" || value === null) return ` ${scalar(value)}`;
  const entries = Object.entries(value);
  const flat = entries.every(([, inner]) => typeof inner !== "object" || inner === null);
  if (flat && entries.length <= 2) return ` {${entries.map(([key, inner]) => `${scalar(key)}: ${scalar(inner)}`).join(", ")}}`;
  return entries.map(([key, inner]) => `\n${indent}${scalar(key)}:${written(inner, `${indent}  `)}`).join("");
}

/** A definition as lines of `workspace.yaml`, to be committed. */
export function fragment(collection: string, key: string, definition: Definition): string {
  return `${collection}:\n  ${scalar(key)}:${written(definition, "    ")}\n`;
}
