import { Link } from "wouter";

/** A person by the best thing we can call her, leading to her page. */
export function PersonLink({ profile, label }: { profile: string; label?: string | null | undefined }) {
  return (
    <Link href={`/people/${encodeURIComponent(profile)}`} title={profile} className={label ? "" : "mono"}>
      {label ?? `${profile.slice(0, 12)}…`}
    </Link>
  );
}
