import { describe, expect, it } from "vitest";
import { homeOf, mayOpen } from "./access";

describe("who may open a page", () => {
  it("shows whoever watches over consent that, and no marketing", () => {
    for (const path of ["/privacy", "/privacy/proof?identifier=x", "/people/p_1"]) expect(mayOpen("privacy", path), path).toBe(true);
    for (const path of ["/", "/live", "/segments", "/segments/a", "/destinations/x", "/connectors/brevo", "/quarantine", "/health"]) expect(mayOpen("privacy", path), path).toBe(false);
  });

  it("shows marketing no one person", () => {
    for (const path of ["/people", "/people/p_1", "/privacy", "/live", "/quarantine"]) expect(mayOpen("marketer", path), path).toBe(false);
  });

  it("lets whoever watches over consent look at deliveries, and activate nothing", () => {
    for (const path of ["/deliveries", "/deliveries/dlv_1"]) expect(mayOpen("privacy", path), path).toBe(true);
    expect(mayOpen("privacy", "/activations/new")).toBe(false);
    expect(mayOpen("read", "/deliveries")).toBe(false);
  });

  it("sends everybody to a page that is theirs", () => {
    for (const role of ["admin", "marketer", "privacy", "agent", "read"] as const) expect(mayOpen(role, homeOf(role)), role).toBe(true);
  });
});
