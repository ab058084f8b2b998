import { Link } from "wouter";

/** The end of an id tells people apart; it begins with the time when they were first seen, which many share. */
const ID_END = 8;

/** A person by the best thing we can call her, leading to her page. */
export function PersonLink({ profile, label }: { profile: string; label?: string | null | undefined }) {
  return (
    <Link href={`/people/${encodeURIComponent(profile)}`} title={profile} className={label ? "" : "mono"}>
      {label ?? `p_…${profile.slice(-ID_END)}`}
    </Link>
  );
}
