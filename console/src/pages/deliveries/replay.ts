import { api, unwrap, type Schemas } from "../../api/client";

/** Which of the deliveries that ended badly are to be tried again. */
export type Wanted = Omit<Schemas["RetryRequest"], "cursor" | "dry_run">;

/** Pages of one replay at most: a million deliveries. */
const PAGES_MAX = 100;

/** Goes through the pages of a replay, or of a count of what it would take (`dry`), and tells each sum. */
export async function replay(wanted: Wanted, dry: boolean, tell: (count: number) => void = () => undefined): Promise<number> {
  let count = 0;
  let cursor: string | undefined;
  let { to } = wanted;
  for (let page = 0; page < PAGES_MAX; page++) {
    const body = { ...wanted, dry_run: dry, ...(to ? { to } : {}), ...(cursor ? { cursor } : {}) };
    const answer = await unwrap(api.POST("/v1/deliveries/retry", { body }));
    count += answer.matching;
    tell(count);
    if (!answer.next) break;
    cursor = answer.next;
    // What fails anew meanwhile is not taken a second time.
    to = answer.to;
  }
  return count;
}
