/** A line of pretty-printed JSON, with the path of the value that it belongs to (`properties.products[0].price`). */
export interface JsonLine {
  path: string;
  indent: number;
  /** The key before the value, if there is one. */
  key: string | null;
  text: string;
  kind: "string" | "number" | "word" | "bracket";
}

/** How many lines are shown of one value: an event has 32 KiB at most, but a list need not be endless on a page. */
export const JSON_LINES_MAX = 2_000;

/** Lays a JSON value out line by line. */
export function jsonLines(value: unknown): JsonLine[] {
  const lines: JsonLine[] = [];
  const visit = (part: unknown, path: string, indent: number, key: string | null, comma: string): void => {
    if (lines.length >= JSON_LINES_MAX) return;
    const entries: [string, string | null, unknown][] | null = Array.isArray(part)
      ? part.map((item, n) => [`${path}[${n}]`, null, item])
      : part !== null && typeof part === "object"
        ? Object.entries(part).map(([name, item]) => [path ? `${path}.${name}` : name, name, item])
        : null;
    if (!entries) {
      const kind = typeof part === "string" ? "string" : typeof part === "number" ? "number" : "word";
      lines.push({ path, indent, key, text: (JSON.stringify(part) ?? "null") + comma, kind });
      return;
    }
    const [open, close] = Array.isArray(part) ? ["[", "]"] : ["{", "}"];
    if (entries.length === 0) {
      lines.push({ path, indent, key, text: open + close + comma, kind: "bracket" });
      return;
    }
    lines.push({ path, indent, key, text: open, kind: "bracket" });
    entries.forEach(([at, name, item], n) => visit(item, at, indent + 1, name, n < entries.length - 1 ? "," : ""));
    lines.push({ path, indent, key: null, text: close + comma, kind: "bracket" });
  };
  visit(value, "", 0, null, "");
  return lines;
}

/** Whether a line shows the field at `mark` or a part of it. A field that is missing is marked at its nearest parent's first line. */
export function markedLines(lines: JsonLine[], mark: string): Set<number> {
  const found = new Set<number>();
  for (let at = mark; ; at = parentOf(at)) {
    lines.forEach((line, n) => {
      if (line.path === at || line.path.startsWith(`${at}.`) || line.path.startsWith(`${at}[`)) found.add(n);
    });
    // An ancestor stands in for a missing field by its first line only; the whole event is not a field.
    if (found.size > 0) return at === mark ? found : new Set([Math.min(...found)]);
    if (at === "") return found;
    if (parentOf(at) === "") return new Set();
  }
}

const parentOf = (path: string) => path.replace(/(?:^|\.)[^.[\]]+$|\[\d+\]$/, "");
