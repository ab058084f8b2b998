/** A piece of a line: plain words, or words said in a certain way. */
export type Inline = { kind: "text" | "strong" | "em" | "code"; text: string } | { kind: "link"; text: string; href: string };
/** A piece of a page. */
export type Block = { kind: "heading"; inline: Inline[] } | { kind: "paragraph"; inline: Inline[] } | { kind: "list"; items: Inline[][] } | { kind: "code"; text: string };

const INLINE = /\*\*(.+?)\*\*|`([^`]+)`|\*([^*\s][^*]*)\*|\[([^\]]+)\]\((https:\/\/[^\s)]+)\)/g;

/** The words of a line. What is no Markdown of ours stays as it is written; nothing becomes HTML. */
export function inline(line: string): Inline[] {
  const pieces: Inline[] = [];
  let from = 0;
  for (const found of line.matchAll(INLINE)) {
    if (found.index > from) pieces.push({ kind: "text", text: line.slice(from, found.index) });
    const [whole, strong, code, em, label, href] = found;
    if (strong !== undefined) pieces.push({ kind: "strong", text: strong });
    else if (code !== undefined) pieces.push({ kind: "code", text: code });
    else if (em !== undefined) pieces.push({ kind: "em", text: em });
    else if (label !== undefined && href !== undefined) pieces.push({ kind: "link", text: label, href });
    from = found.index + whole.length;
  }
  if (from < line.length) pieces.push({ kind: "text", text: line.slice(from) });
  return pieces;
}

/** The pieces of a page: headings, paragraphs, lists and code, which is what a connector's README has. */
export function blocks(text: string): Block[] {
  const found: Block[] = [];
  let paragraph: string[] = [];
  let code: string[] | null = null;
  const close = () => {
    if (paragraph.length > 0) found.push({ kind: "paragraph", inline: inline(paragraph.join(" ")) });
    paragraph = [];
  };
  for (const line of text.split("\n")) {
    if (line.startsWith("```")) {
      close();
      if (code) found.push({ kind: "code", text: code.join("\n") });
      code = code ? null : [];
      continue;
    }
    if (code) {
      code.push(line);
      continue;
    }
    const heading = /^#{1,6} (.*)$/.exec(line);
    const item = /^[-*] (.*)$/.exec(line);
    if (heading?.[1] !== undefined) {
      close();
      found.push({ kind: "heading", inline: inline(heading[1]) });
    } else if (item?.[1] !== undefined) {
      close();
      const last = found.at(-1);
      if (last?.kind === "list") last.items.push(inline(item[1]));
      else found.push({ kind: "list", items: [inline(item[1])] });
    } else if (line.trim() === "") close();
    else paragraph.push(line.trim());
  }
  close();
  if (code) found.push({ kind: "code", text: code.join("\n") });
  return found;
}

/** The part of a README in a language: what stands under its heading, or all of it where there is none. */
export function inLanguage(readme: string, language: "fr" | "en"): string {
  const heading = language === "fr" ? "## Français" : "## English";
  const at = readme.indexOf(heading);
  if (at < 0) return readme;
  const rest = readme.slice(at + heading.length);
  const end = rest.search(/\n## /);
  return end < 0 ? rest : rest.slice(0, end);
}
