import { eyeOf, useSourceKinds } from "../api/definitions";
import { useI18n } from "../i18n";
import css from "./components.module.css";

/** A source in the tint of its eye: photographs warm, film cool. `kind` is looked up when it is not given. */
export function EyeBadge({ source, kind }: { source: string; kind?: string }) {
  const { t } = useI18n();
  const kinds = useSourceKinds();
  const eye = eyeOf(kind ?? kinds.get(source) ?? "server");
  return (
    <span className={`${css.badge} ${css[eye]}`} title={t(`eye.${eye}_hint`)}>
      <EyeSign eye={eye} />
      {source}
      <span className={css.hidden}> ({t(`eye.${eye}`)})</span>
    </span>
  );
}

/** The sign of an eye: a frame for a photograph, a strip for the film. */
export function EyeSign({ eye, size = 12 }: { eye: "film" | "photograph"; size?: number }) {
  return (
    <svg width={size} height={size} viewBox="0 0 12 12" aria-hidden="true" className={css.sign}>
      {eye === "film" ? (
        <path d="M1 2h10v8H1zM3.5 2v8m5-8v8M1 4.7h2.5m5 0H11M1 7.3h2.5m5 0H11" fill="none" stroke="currentColor" strokeWidth="1.1" />
      ) : (
        <path d="M1.2 1.2h9.6v9.6H1.2zM1.5 8.2l2.6-2.8 2.3 2.3 1.6-1.5 2.6 2.5" fill="none" stroke="currentColor" strokeWidth="1.2" strokeLinejoin="round" />
      )}
    </svg>
  );
}
