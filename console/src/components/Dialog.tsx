import { CloseButton, Modal } from "@mantine/core";
import type { ReactNode } from "react";
import { useI18n } from "../i18n";
import css from "./components.module.css";

/** A question above the page. Focus stays inside; Escape closes it and gives the focus back. Put `data-autofocus` on the answer that
 *  Enter should give. */
export function Dialog({ title, opened, close, children }: { title: string; opened: boolean; close: () => void; children: ReactNode }) {
  const { t } = useI18n();
  return (
    <Modal.Root opened={opened} onClose={close} centered>
      <Modal.Overlay />
      <Modal.Content aria-label={title} className={css.over}>
        <div className={css.besideHead}>
          <h2>{title}</h2>
          <CloseButton onClick={close} aria-label={t("common.close")} />
        </div>
        <Modal.Body className={css.besideBody}>{children}</Modal.Body>
      </Modal.Content>
    </Modal.Root>
  );
}
