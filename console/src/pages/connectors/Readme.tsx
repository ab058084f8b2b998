import { useI18n } from "../../i18n";
import css from "./Connectors.module.css";
import { blocks, inLanguage, type Inline } from "./markdown";

/** A connector's README in the reader's language, as elements: nothing in it is ever HTML. */
export function Readme({ text }: { text: string }) {
  const { language } = useI18n();
  return (
    <div className={css.readme}>
      {blocks(inLanguage(text, language)).map((block, n) =>
        block.kind === "heading" ? (
          <h3 key={n}>
            <Words inline={block.inline} />
          </h3>
        ) : block.kind === "code" ? (
          <pre key={n} tabIndex={0}>
            {block.text}
          </pre>
        ) : block.kind === "list" ? (
          <ul key={n}>
            {block.items.map((item, m) => (
              <li key={m}>
                <Words inline={item} />
              </li>
            ))}
          </ul>
        ) : (
          <p key={n}>
            <Words inline={block.inline} />
          </p>
        ),
      )}
    </div>
  );
}

function Words({ inline }: { inline: Inline[] }) {
  return inline.map((piece, n) => {
    switch (piece.kind) {
      case "strong":
        return <strong key={n}>{piece.text}</strong>;
      case "em":
        return <em key={n}>{piece.text}</em>;
      case "code":
        return <code key={n}>{piece.text}</code>;
      case "link":
        return (
          <a key={n} href={piece.href} target="_blank" rel="noreferrer">
            {piece.text}
          </a>
        );
      case "text":
        return piece.text;
    }
  });
}
