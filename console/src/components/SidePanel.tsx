import { CloseButton, Drawer } from "@mantine/core";
import { useMediaQuery } from "@mantine/hooks";
import { useEffect, useRef, type ReactNode } from "react";
import { useI18n } from "../i18n";
import { isTyping } from "../shell/keys";
import css from "./components.module.css";

/** The width under which the panel covers the page instead of standing beside the list. */
export const NARROW = "(max-width: 1000px)";

/** Details of what is open in a list: beside it, or over it where there is no room. Escape closes. */
export function SidePanel({ title, close, children }: { title: string; close: () => void; children: ReactNode }) {
  const { t } = useI18n();
  const narrow = useMediaQuery(NARROW, window.matchMedia(NARROW).matches);
  if (narrow) {
    // The library's own title is a <header> outside of the page's landmarks; ours is not.
    return (
      <Drawer.Root opened onClose={close} size="100%">
        <Drawer.Overlay />
        <Drawer.Content aria-label={title} className={css.over}>
          <div className={css.besideHead}>
            <h2>{title}</h2>
            <CloseButton onClick={close} aria-label={t("common.close")} />
          </div>
          <Drawer.Body className={css.besideBody}>{children}</Drawer.Body>
        </Drawer.Content>
      </Drawer.Root>
    );
  }
  return (
    <Beside title={title} close={close}>
      {children}
    </Beside>
  );
}

function Beside({ title, close, children }: { title: string; close: () => void; children: ReactNode }) {
  const { t } = useI18n();
  const heading = useRef<HTMLHeadingElement>(null);
  useEffect(() => {
    heading.current?.focus({ preventScroll: true });
  }, []);
  useEffect(() => {
    const onEscape = (event: KeyboardEvent) => {
      if (event.key !== "Escape" || event.defaultPrevented || isTyping(event.target)) return;
      // A dialog above the panel closes first.
      if (event.target instanceof Element && event.target.closest('[role="dialog"]')) return;
      close();
    };
    window.addEventListener("keydown", onEscape);
    return () => window.removeEventListener("keydown", onEscape);
  }, [close]);
  return (
    <aside className={`panel ${css.beside}`} aria-label={title}>
      <div className={css.besideHead}>
        <h2 ref={heading} tabIndex={-1}>
          {title}
        </h2>
        <CloseButton onClick={close} aria-label={t("common.close")} />
      </div>
      <div className={css.besideBody}>{children}</div>
    </aside>
  );
}
