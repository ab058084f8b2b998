import type { ReactNode } from "react";
import css from "./components.module.css";

/** The heading of a page, which names the browser's tab as well. `children` stand at its right. */
export function PageTitle({ title, children }: { title: string; children?: ReactNode }) {
  return (
    <div className={css.title}>
      <title>{`${title} · Jumelle`}</title>
      <h1>{title}</h1>
      {children}
    </div>
  );
}

/** A titled box. `aside` stands at the right of the title. */
export function Panel({ title, aside, children, className }: { title: string; aside?: ReactNode; children: ReactNode; className?: string }) {
  return (
    <section className={`panel ${className ?? ""}`} aria-label={title}>
      <header>
        <h2>{title}</h2>
        {aside}
      </header>
      {children}
    </section>
  );
}
