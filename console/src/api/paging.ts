import { useSearchParams } from "wouter";

/** How many rows a page of a list has. */
export const PAGE_ROWS = 50;

/** Where in a list the page stands. The cursor is in the address, so a link leads to the same rows and "back" to those before. */
export interface Paging {
  /** What to give the server, `undefined` for the first page. */
  cursor: string | undefined;
  /** Goes to the page that begins at a cursor; `null` goes to the first one. */
  go: (cursor: string | null) => void;
}

/** The cursor of a list in the address, under `name` (two lists on a page need two names). */
export function useCursor(name = "cursor"): Paging {
  const [parameters, setParameters] = useSearchParams();
  return {
    cursor: parameters.get(name) ?? undefined,
    go: (cursor) =>
      setParameters((before) => {
        const after = new URLSearchParams(before);
        if (cursor) after.set(name, cursor);
        else after.delete(name);
        return after;
      }),
  };
}

/** One value of the address, such as a filter; setting it to the empty text removes it and leaves any page of the list behind. */
export function useParameter(name: string, fallback = ""): [string, (value: string) => void] {
  const [parameters, setParameters] = useSearchParams();
  return [
    parameters.get(name) ?? fallback,
    (value) =>
      setParameters(
        (before) => {
          const after = new URLSearchParams(before);
          if (value && value !== fallback) after.set(name, value);
          else after.delete(name);
          after.delete("cursor");
          return after;
        },
        { replace: true },
      ),
  ];
}

/** What is open beside a list, by its id in the address. Opening is a step that "back" undoes; the rest of the address stays. */
export function useOpened(name: string): { id: string | null; open: (id: string | null) => void; link: (id: string) => string } {
  const [parameters, setParameters] = useSearchParams();
  const changed = (before: URLSearchParams, id: string | null) => {
    const after = new URLSearchParams(before);
    if (id) after.set(name, id);
    else after.delete(name);
    return after;
  };
  return {
    id: parameters.get(name),
    open: (id) => setParameters((before) => changed(before, id)),
    link: (id) => `?${changed(parameters, id)}`,
  };
}

/** Takes several values out of the address in one step. */
export function useWithout(...names: string[]): () => void {
  const [, setParameters] = useSearchParams();
  return () =>
    setParameters(
      (before) => {
        const after = new URLSearchParams(before);
        for (const name of names) after.delete(name);
        return after;
      },
      { replace: true },
    );
}
