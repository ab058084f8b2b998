import { useQuery } from "@tanstack/react-query";
import { mayOpen } from "../shell/access";
import { useSession } from "../shell/session";
import { api, unwrap } from "./client";

/** Definitions change when somebody applies a file: a minute old is fresh enough for labels. */
const STALE_MS = 60_000;
/** How many segments are asked for their labels; another one shows its key. */
const LABELS_MAX = 500;

/** Which eye a source is: the film from web and app, the photographs from servers and files. */
export type Eye = "film" | "photograph";

/** The eye of a kind of source. */
export const eyeOf = (kind: string): Eye => (kind === "web" || kind === "app" ? "film" : "photograph");

/** The kind of each source by key. */
export function useSourceKinds(): Map<string, string> {
  const { data } = useQuery({
    queryKey: ["definitions", "sources"],
    queryFn: ({ signal }) => unwrap(api.GET("/v1/{collection}", { params: { path: { collection: "sources" } }, signal })),
    staleTime: STALE_MS,
  });
  return new Map((data?.items ?? []).map((source) => [source.key, kindOf(source.definition)]));
}

function kindOf(definition: unknown): string {
  const kind = typeof definition === "object" && definition && "kind" in definition ? definition.kind : undefined;
  return typeof kind === "string" ? kind : "server";
}

/** The label of each segment by key, in both languages. */
export function useSegmentLabels(): Map<string, { fr?: string; en?: string }> {
  const { role } = useSession();
  const { data } = useQuery({
    queryKey: ["segments", "labels"],
    // Where the list is not to be read, a segment is named by its key.
    enabled: mayOpen(role, "/segments"),
    queryFn: ({ signal }) => unwrap(api.GET("/v1/segments", { params: { query: { limit: LABELS_MAX } } as object, signal })),
    staleTime: STALE_MS,
  });
  return new Map((data?.items ?? []).map((segment) => [segment.key, segment.label]));
}
