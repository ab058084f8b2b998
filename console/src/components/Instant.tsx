import { useFormat } from "../format";

/** An instant in the workspace's time zone; the full one on hover. */
export function Instant({ at, as = "instant", className }: { at: string; as?: "instant" | "time" | "minute" | "date" | "ago"; className?: string }) {
  const format = useFormat();
  return (
    <time dateTime={at} title={format.full(at)} className={`tabular ${className ?? ""}`}>
      {format[as](at)}
    </time>
  );
}
