import { Button } from "@mantine/core";
import { useClipboard } from "@mantine/hooks";
import { IconCheck, IconCopy } from "@tabler/icons-react";
import { useI18n } from "../i18n";

/** Copies a text, and says so. */
export function CopyButton({ text, label }: { text: string; label?: string }) {
  const { t } = useI18n();
  const clipboard = useClipboard();
  const Sign = clipboard.copied ? IconCheck : IconCopy;
  return (
    <Button size="xs" variant="default" onClick={() => clipboard.copy(text)} leftSection={<Sign size={14} aria-hidden />}>
      <span aria-live="polite">{clipboard.copied ? t("common.copied") : (label ?? t("common.copy"))}</span>
    </Button>
  );
}
