import { useMemo } from "react";
import { jsonLines, markedLines } from "./json";
import css from "./components.module.css";

/** JSON as a person reads it; the field at `mark` stands out. A text that is not JSON is shown as it is. */
export function JsonView({ value, mark, label }: { value: unknown; mark?: string; label: string }) {
  const lines = useMemo(() => jsonLines(value), [value]);
  const marked = useMemo(() => (mark ? markedLines(lines, mark) : new Set<number>()), [lines, mark]);
  return (
    <pre className={css.json} tabIndex={0} role="region" aria-label={label}>
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
