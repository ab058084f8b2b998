import { Link } from "wouter";
import { mayOpen } from "../shell/access";
import { useSession } from "../shell/session";

/** A tool by its key, leading to the page of tools that the reader may open. */
export function DestinationName({ destination }: { destination: string }) {
  const { role } = useSession();
  const own = `/destinations/${encodeURIComponent(destination)}`;
  const to = [own, "/privacy/tools"].find((path) => mayOpen(role, path));
  return to ? <Link href={to}>{destination}</Link> : destination;
}
