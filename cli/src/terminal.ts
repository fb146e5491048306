import { styleText } from "node:util";

/** Nothing we print is wider. */
export const MAX_COLUMNS = 100;
const MIN_COLUMNS = 60;

type Ink = Parameters<typeof styleText>[0];

/** Where a command writes: results to standard output, everything about them to standard error. */
export interface Terminal {
  readonly columns: number;
  /** True when a person watches standard error, so that progress may be drawn there. */
  readonly isWatched: boolean;
  readonly print: (text: string) => void;
  readonly note: (text: string) => void;
  /** Colours text when a person looks at standard output, and otherwise leaves it alone. */
  readonly paint: (ink: Ink, text: string) => string;
}

interface Stream {
  readonly isTTY?: boolean;
  readonly columns?: number;
  readonly write: (text: string) => unknown;
}

export function createTerminal({
  out,
  err,
  wantsColour,
}: {
  readonly out: Stream;
  readonly err: Stream;
  readonly wantsColour: boolean;
}): Terminal {
  const isColoured = wantsColour && out.isTTY === true;
  // Some terminals do not know their width, and say 0.
  const { columns = 0 } = out;
  return {
    columns: columns === 0 ? MAX_COLUMNS : Math.max(MIN_COLUMNS, Math.min(MAX_COLUMNS, columns)),
    isWatched: err.isTTY === true,
    print: (text) => void out.write(`${text}\n`),
    note: (text) => void err.write(`${text}\n`),
    paint: (ink, text) => (isColoured ? styleText(ink, text, { validateStream: false }) : text),
  };
}

/**
 * Text from elsewhere, made safe to show: file names and a platform's sentences may hold escape
 * sequences, line breaks, or characters that turn the reading direction.
 */
export function printable(text: string): string {
  return text.replace(/\s+/gu, " ").replace(/[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu, "\uFFFD");
}

/** Breaks text into lines of at most `width`, at spaces where there are any, every line after the first indented. */
export function wrap(
  text: string,
  { width, indent = "" }: { readonly width: number; readonly indent?: string },
): string {
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(" ").flatMap((whole) => pieces(whole, width - indent.length))) {
    const prefix = lines.length === 0 ? "" : indent;
    if (line !== "" && prefix.length + line.length + 1 + word.length > width) {
      lines.push(prefix + line);
      line = word;
    } else {
      line = line === "" ? word : `${line} ${word}`;
    }
  }
  lines.push((lines.length === 0 ? "" : indent) + line);
  return lines.join("\n");
}

function pieces(word: string, width: number): readonly string[] {
  return word.length <= width ? [word] : (word.match(new RegExp(`.{1,${width}}`, "gu")) ?? [word]);
}

/** `1 work`, `2 works`. */
export function counted(count: number, noun: string, plural = `${noun}s`): string {
  return `${count.toLocaleString("en-US").replaceAll(",", " ")} ${count === 1 ? noun : plural}`;
}
