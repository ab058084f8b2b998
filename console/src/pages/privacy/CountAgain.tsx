import { Button } from "@mantine/core";
import type { UseMutationResult } from "@tanstack/react-query";
import { Instant } from "../../components/Instant";
import { useI18n } from "../../i18n";

/** When people were counted, and the button that counts them anew. */
export function CountAgain({ at, counting, again }: { at: string; counting: boolean; again: UseMutationResult<unknown, Error, void> }) {
  const { t } = useI18n();
  return (
    <>
      <span className="small">
        {t("privacy.counted")} <Instant at={at} />
      </span>
      <Button size="xs" variant="default" loading={again.isPending || counting} onClick={() => again.mutate()}>
        {t("privacy.count_again")}
      </Button>
    </>
  );
}
