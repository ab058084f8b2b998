import { Link } from "wouter";
import { useSegmentLabels } from "../api/definitions";
import { useI18n } from "../i18n";
import { mayOpen } from "../shell/access";
import { useSession } from "../shell/session";

/** The label of a segment in the reader's language, or its key when it has none (or is not defined any more). */
export function useSegmentName(): (key: string) => string {
  const { language } = useI18n();
  const labels = useSegmentLabels();
  return (key) => labels.get(key)?.[language] ?? labels.get(key)?.en ?? labels.get(key)?.fr ?? key;
}

/** A segment by its label, leading to it. */
export function SegmentName({ segment }: { segment: string }) {
  const name = useSegmentName()(segment);
  const { role } = useSession();
  if (!mayOpen(role, "/segments")) return <span title={segment}>{name}</span>;
  return (
    <Link href={`/segments/${encodeURIComponent(segment)}`} title={segment}>
      {name}
    </Link>
  );
}
