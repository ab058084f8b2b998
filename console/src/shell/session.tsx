import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { createContext, useContext, useEffect, useState, type ReactNode } from "react";
import { api, ApiError, sessionEnded, unwrap, type Schemas } from "../api/client";
import { Failure, Loading } from "../components/states";
import { SignIn } from "./SignIn";

/** Who is signed in, and to which workspace. */
export type Session = Schemas["Session"];

const Context = createContext<Session | null>(null);
const KEY = ["session"];

/** A token in the address (`/#token=…`, as `make run` prints it) is used once and taken out of the address at once. */
function tokenOfAddress(): string | null {
  const found = /(?:^#|&)token=([^&]+)/.exec(location.hash);
  if (!found?.[1]) return null;
  history.replaceState(history.state, "", location.pathname + location.search);
  return decodeURIComponent(found[1]);
}

const begin = (token: string) => unwrap(api.POST("/v1/session", { body: { token } }));
const given = tokenOfAddress();
// Begun once per page load, outside of React, which may run an effect twice.
const signedInByAddress: Promise<unknown> = given ? begin(given).catch(() => undefined) : Promise.resolve();

/** Lets nobody in without a session; asks for a token instead. */
export function SessionGate({ children }: { children: ReactNode }) {
  const queries = useQueryClient();
  const [ended, setEnded] = useState(false);
  const session = useQuery({
    queryKey: KEY,
    queryFn: async () => {
      await signedInByAddress;
      return await unwrap(api.GET("/v1/session"));
    },
    staleTime: Infinity,
    retry: (count, error) => !(error instanceof ApiError && error.status === 401) && count < 2,
  });
  useEffect(() => {
    const end = () => setEnded(true);
    sessionEnded.addEventListener("ended", end);
    return () => sessionEnded.removeEventListener("ended", end);
  }, []);
  const enter = useMutation({
    mutationFn: begin,
    onSuccess: async () => {
      await queries.resetQueries();
      setEnded(false);
    },
  });

  if (session.isPending) return <Loading page />;
  const refused = session.error instanceof ApiError && session.error.status === 401;
  if (session.error && !refused) return <Failure error={session.error} retry={() => void session.refetch()} page />;
  if (ended || !session.data) {
    return <SignIn ended={ended} busy={enter.isPending} error={enter.error} submit={(token) => enter.mutate(token)} />;
  }
  return <Context value={session.data}>{children}</Context>;
}

/** The session of whoever looks at the page. */
export function useSession(): Session {
  const found = useContext(Context);
  if (!found) throw new Error("useSession outside of SessionGate");
  return found;
}

/** Ends the session and goes back to the sign-in page. */
export function useSignOut(): () => void {
  const queries = useQueryClient();
  const leave = useMutation({
    mutationFn: () => unwrap(api.DELETE("/v1/session")),
    onSettled: () => queries.clear(),
    onSuccess: () => location.assign("/"),
  });
  return () => leave.mutate();
}
