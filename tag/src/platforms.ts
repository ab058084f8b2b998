// Consent platforms as they are found on a page. Each says which of its categories the visitor allowed; what a category means is the
// workspace's to say (`consent.strings.categories`). Nothing is read before the visitor has chosen: a default is no choice.
//
// The shapes are those of the vendors' own pages, read in November 2026; what was read of each, and what could not be, is a table of
// docs/guide/tag.md.

type Told = (platform: string, allowed: (category: string) => boolean | undefined) => void;
type Any = any;

/** Hears the visitor's choices, now and later. */
export function hear(told: Told): void {
  const page = window as Any;
  const on = (events: string, look: (event: Any) => void) =>
    events.split(" ").forEach((event) => addEventListener(event, guard(look)));
  const guard = (look: (given: Any) => void) => (given: Any) => {
    try {
      look(given);
    } catch (error) {
      // The page's own code must go on.
      console.warn("jumelle:", error);
    }
  };

  const oneTrust = () => {
    const active = page.OnetrustActiveGroups;
    // The groups are there before the banner is answered.
    if (active && page.OneTrust?.IsAlertBoxClosed?.()) {
      const groups = String(active).split(",");
      told("onetrust", (category) => groups.includes(category));
    }
  };
  const cookiebot = () => {
    const { consent, hasResponse } = page.Cookiebot ?? {};
    // "implied": given by the platform itself, where its owner has set it so.
    if (hasResponse && consent?.method !== "implied") told("cookiebot", (category) => consent[category]);
  };
  const commandersAct = guard(({ consent, updateEvent }) => {
    // What is revoked is unset again: that is a refusal.
    const unset = updateEvent === "revoked" ? false : undefined;
    if (consent.status !== "unset" || unset === false) {
      told("commanders_act", (category) => ({ on: true, off: false, unset })[consent.categories?.[category]?.status as "on"]);
    }
  });
  const didomi = () => {
    const { Didomi } = page;
    // The second name is the first one's former name.
    if ((Didomi?.shouldUserStatusBeCollected ?? Didomi?.shouldConsentBeCollected)?.call(Didomi) !== false) return;
    const { purposes } = Didomi.getCurrentUserStatus();
    told("didomi", (category) => purposes[category]?.enabled);
  };

  on("OneTrustGroupsUpdated OTConsentApplied", oneTrust);
  on("CookiebotOnConsentReady CookiebotOnAccept CookiebotOnDecline", cookiebot);
  (page.didomiOnReady ??= []).push(guard(didomi));
  (page.didomiEventListeners ??= []).push({ event: "consent.changed", listener: guard(didomi) });
  (page._axcb ??= []).push(
    guard((axeptio) =>
      axeptio.on("cookies:complete", guard((choices) => choices.$$completed !== false && told("axeptio", (category) => choices[category]))),
    ),
  );
  let asked = false;
  const cact = () => {
    if (asked || !page.cact) return;
    asked = true;
    page.cact("consent.get", commandersAct);
    page.cact("consent.onUpdate", commandersAct);
  };
  for (const look of [oneTrust, cookiebot, cact]) guard(look)(0);
  on("load", cact);
}
