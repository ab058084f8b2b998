import { Button } from "@mantine/core";
import { IconChevronLeft, IconChevronRight } from "@tabler/icons-react";
import type { Paging } from "../api/paging";
import { useI18n } from "../i18n";
import css from "./components.module.css";

/** The way through a list that pages by cursor. Shows nothing when the list is one page. */
export function Pager({ paging, next, label }: { paging: Paging; next: string | null | undefined; label?: string }) {
  const { t } = useI18n();
  if (!next && !paging.cursor) return null;
  return (
    <nav className={css.pager} aria-label={label ?? t("common.pages")}>
      {paging.cursor && (
        <Button size="xs" variant="subtle" onClick={() => paging.go(null)}>
          {t("common.first")}
        </Button>
      )}
      <Button size="xs" variant="default" disabled={!paging.cursor} onClick={() => history.back()} leftSection={<IconChevronLeft size={14} aria-hidden />}>
        {t("common.previous")}
      </Button>
      <Button size="xs" variant="default" disabled={!next} onClick={() => paging.go(next ?? null)} rightSection={<IconChevronRight size={14} aria-hidden />}>
        {t("common.next")}
      </Button>
    </nav>
  );
}
