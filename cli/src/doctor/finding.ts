/** What a look at one thing found; the detail of what is not ok says what to do about it. */
export interface Finding {
  readonly name: string;
  readonly outcome: "ok" | "warning" | "wrong";
  readonly detail: string;
}

/** One thing that is not as it should be. */
export interface Problem {
  readonly outcome: "warning" | "wrong";
  readonly sentence: string;
}

export function wrong(sentence: string): Problem {
  return { outcome: "wrong", sentence };
}

export function warning(sentence: string): Problem {
  return { outcome: "warning", sentence };
}

/** All that was found about one thing: as bad as the worst of it, and what is wrong comes first. */
export function findingOf(name: string, problems: readonly Problem[], detail: string): Finding {
  const ordered = problems.toSorted((left, right) => rank(left) - rank(right));
  const [worst] = ordered;
  return worst === undefined
    ? { name, outcome: "ok", detail }
    : { name, outcome: worst.outcome, detail: ordered.map(({ sentence }) => sentence).join("; ") };
}

function rank({ outcome }: Problem): number {
  return outcome === "wrong" ? 0 : 1;
}

/** Why something could not be reached: the cause below what `fetch` says. */
export function reasonBelow(error: unknown): string {
  const cause = error instanceof Error && error.cause !== undefined ? error.cause : error;
  if (!(cause instanceof Error)) return String(cause);
  const code = "code" in cause ? String(cause.code) : "";
  return cause.message === "" ? code : cause.message.replace(/\s*\n\s*/g, " ");
}
