import { CloseButton, Drawer } from "@mantine/core";
import type { ReactNode } from "react";
import { useI18n } from "../i18n";
import css from "./components.module.css";

/** Details over the right half of the page, or over all of a narrow one. Focus stays inside; Escape closes it and gives the focus
 *  back to what opened it. */
export function Sheet({ title, opened, close, children }: { title: string; opened: boolean; close: () => void; children: ReactNode }) {
  const { t } = useI18n();
  return (
    <Drawer.Root opened={opened} onClose={close} size="min(560px, 100%)">
      <Drawer.Overlay />
      <Drawer.Content aria-label={title}>
        <div className={css.besideHead}>
          <h2>{title}</h2>
          <CloseButton onClick={close} aria-label={t("common.close")} />
        </div>
        <Drawer.Body className={css.besideBody}>{children}</Drawer.Body>
      </Drawer.Content>
    </Drawer.Root>
  );
}
