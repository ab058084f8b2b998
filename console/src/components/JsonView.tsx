import { useEffect, useMemo, useRef } from "react";
import { jsonLines, markedLines } from "./json";
import css from "./components.module.css";

/** JSON as a person reads it; the field at `mark` stands out and is scrolled to. `short`: leaves room for what stands below. */
export function JsonView({ value, mark, label, short = false }: { value: unknown; mark?: string; label: string; short?: boolean }) {
  const lines = useMemo(() => jsonLines(value), [value]);
  const marked = useMemo(() => (mark ? markedLines(lines, mark) : new Set<number>()), [lines, mark]);
  const box = useRef<HTMLPreElement>(null);
  useEffect(() => {
    // Within the box alone: the page stays where it is.
    const found = box.current?.querySelector("mark");
    if (box.current && found) box.current.scrollTop = found.offsetTop - box.current.clientHeight / 2;
  }, [marked]);
  return (
    <pre ref={box} className={`${css.json} ${short ? css.short : ""}`} tabIndex={0} role="region" aria-label={label}>
      {lines.map((line, n) => {
        const content = (
          <>
            {"  ".repeat(line.indent)}
            {line.key !== null && <span className={css.key}>{JSON.stringify(line.key)}: </span>}
            <span className={css[line.kind]}>{line.text}</span>
            {"\n"}
          </>
        );
        return marked.has(n) ? <mark key={n}>{content}</mark> : <span key={n}>{content}</span>;
      })}
    </pre>
  );
}
