import { Button, Loader } from "@mantine/core";
import type { ReactNode } from "react";
import { ApiError } from "../api/client";
import { useI18n } from "../i18n";
import css from "./components.module.css";

/** Something is on its way. `page`: nothing else is on the page yet. */
export function Loading({ page = false }: { page?: boolean }) {
  const { t } = useI18n();
  return (
    <div className={page ? css.page : css.state} role="status" aria-label={t("common.loading")}>
      <Loader size="sm" color="gray" />
    </div>
  );
}

/** There is nothing, and that is right; says what to do next. */
export function Empty({ title, hint, children }: { title: string; hint?: ReactNode; children?: ReactNode }) {
  return (
    <div className={css.state}>
      <p className={css.stateTitle}>{title}</p>
      {hint && <p className="muted">{hint}</p>}
      {children}
    </div>
  );
}

/** Something could not be had: why, and the way to try again. */
export function Failure({ error, retry, page = false }: { error: unknown; retry?: () => void; page?: boolean }) {
  const { t } = useI18n();
  const status = error instanceof ApiError ? error.status : 0;
  const why =
    status === 0 ? t("common.failed_network") : status === 403 ? t("common.failed_forbidden") : status === 404 ? t("common.failed_missing") : null;
  const detail = error instanceof Error && status !== 0 ? error.message : null;
  return (
    <div className={page ? css.page : css.state} role="alert">
      <p className={css.stateTitle}>{t("common.failed")}</p>
      <p className="muted">{[why, detail].filter(Boolean).join(" ")}</p>
      {retry && (
        <Button size="xs" variant="default" onClick={retry}>
          {t("common.retry")}
        </Button>
      )}
    </div>
  );
}

/** What a query gives: loading, failure, or the page made of its data. Data that is there stays shown when a refresh fails. */
export function Loaded<T>({ query, children }: { query: { data: T | undefined; error: unknown; refetch: () => unknown }; children: (data: T) => ReactNode }) {
  if (query.data !== undefined) return children(query.data);
  if (query.error) return <Failure error={query.error} retry={() => void query.refetch()} />;
  return <Loading />;
}
