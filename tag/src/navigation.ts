/** Calls back when a single-page application moves to another address (the fragment does not count), with the one it left. */
export function follow(moved: (left: string) => void): void {
  const address = (): string => location.href.split("#")[0] ?? "";
  let last = address();
  // After the application had its turn: the new title is there, and a redirection counts once.
  const look = () =>
    setTimeout(() => {
      const left = last;
      last = address();
      if (last !== left) moved(left);
    });
  for (const name of ["pushState", "replaceState"] as const) {
    const own = history[name];
    history[name] = function (this: History, ...move) {
      own.apply(this, move);
      look();
    };
  }
  addEventListener("popstate", look);
}
