/** The sign of the house: two eyes, one warm, one cool. */
export function Mark({ size = 24 }: { size?: number }) {
  return (
    <svg width={size} height={size} viewBox="0 0 24 24" aria-hidden="true">
      <circle cx="7" cy="12" r="5.5" fill="var(--photograph)" />
      <circle cx="17" cy="12" r="5.5" fill="var(--film)" />
      <rect x="10" y="10.6" width="4" height="2.8" rx="1.2" fill="var(--muted)" />
    </svg>
  );
}
