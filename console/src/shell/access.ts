import type { Session } from "./session";

type Role = Session["role"];

const EVERYBODY: Role[] = ["admin", "marketer", "privacy", "agent", "read"];
const MARKETING: Role[] = ["admin", "marketer", "read"];

/** Which roles a page is for, by the first part of its address. The server's table (`crates/server/src/roles.rs`) decides about the
 *  data; a page stands here only where that table gives its reader what it is made of. */
const PAGES: Record<string, Role[]> = {
  "": MARKETING,
  live: ["admin"],
  people: ["admin", "privacy", "agent"],
  segments: MARKETING,
  destinations: MARKETING,
  deliveries: ["admin", "marketer", "privacy"],
  activations: ["admin", "marketer"],
  connectors: MARKETING,
  privacy: ["admin", "privacy"],
  quarantine: ["admin"],
  health: MARKETING,
};

/** Whether a page is for a role. An address that is no page is nobody's secret. */
export function mayOpen(role: Role, path: string): boolean {
  const first = path.split(/[/?#]/)[1] ?? "";
  return (PAGES[first] ?? EVERYBODY).includes(role);
}

/** Where a role begins. */
export function homeOf(role: Role): string {
  if (mayOpen(role, "/")) return "/";
  return mayOpen(role, "/privacy") ? "/privacy" : "/people";
}

/** Whether a role tries again what did not arrive. */
export const mayReplay = (role: Role): boolean => role === "admin" || role === "marketer";

/** Whether a role says where data goes: what a marketer prepares, an administrator applies. */
export const mayDeclareDestinations = (role: Role): boolean => role === "admin";

/** Whether a role brings activations live. */
export const mayActivate = (role: Role): boolean => role === "admin" || role === "marketer";
