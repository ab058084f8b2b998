import { useQuery } from "@tanstack/react-query";
import { api, unwrap } from "./client";

/** How often the numbers of Home are asked for again. */
export const OVERVIEW_EVERY_MS = 5_000;

/** The workspace at a glance, kept fresh while somebody looks. */
export const useOverview = () =>
  useQuery({
    queryKey: ["overview"],
    queryFn: ({ signal }) => unwrap(api.GET("/v1/overview", { signal })),
    refetchInterval: OVERVIEW_EVERY_MS,
  });
