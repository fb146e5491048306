import { type Terminal, wrap } from "../terminal.ts";

const INDENT = "   ";
const TIMING_COLUMNS = 9;

/** Tells the story as it happens, in sentences, with the time each step took. */
export interface Narrator {
  /** Columns that indented text may fill. */
  readonly columns: number;
  readonly heading: (title: string) => void;
  readonly say: (sentence: string) => void;
  /** Text from a program or a document, indented and otherwise as it is. */
  readonly quote: (text: string) => void;
  /** Tells what was measured while something else was told. */
  readonly measured: (sentence: string, milliseconds: number) => void;
  /** Does something, and tells it, with the time since it began, only once it has been done. */
  readonly step: <T>(work: () => Promise<T>, sentence: (value: T) => string, startedAt?: number) => Promise<T>;
}

export function createNarrator(
  print: (text: string) => void,
  { columns, paint }: Pick<Terminal, "columns" | "paint">,
): Narrator {
  let headingCount = 0;
  const width = columns - INDENT.length - TIMING_COLUMNS;

  function tell(sentence: string, timing: string): void {
    const [first = "", ...others] = wrap(sentence, { width: width - 2 }).split("\n");
    const gap = " ".repeat(Math.max(1, width - 2 - first.length + TIMING_COLUMNS - timing.length));
    print(`${INDENT}${paint("green", "✓")} ${first}${gap}${paint("dim", timing)}`);
    for (const line of others) print(`${INDENT}  ${line}`);
  }

  return {
    columns: columns - INDENT.length - 2,
    heading: (title) => {
      headingCount += 1;
      print(`\n${paint("bold", `${headingCount}. ${title}`)}`);
    },
    say: (sentence) => print(wrap(sentence, { width: columns })),
    quote: (text) =>
      print(
        text
          .split("\n")
          .map((line) => (line === "" ? "" : `${INDENT}  ${line}`))
          .join("\n"),
      ),
    measured: (sentence, milliseconds) => tell(sentence, duration(milliseconds)),
    step: async (work, sentence, startedAt = performance.now()) => {
      const value = await work();
      tell(sentence(value), duration(performance.now() - startedAt));
      return value;
    },
  };
}

/** `12 ms`, and from a second on `1.2 s`. */
export function duration(milliseconds: number): string {
  return milliseconds < 1_000 ? `${Math.round(milliseconds)} ms` : `${(milliseconds / 1_000).toFixed(1)} s`;
}
