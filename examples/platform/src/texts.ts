import { readFile } from "node:fs/promises";
import type { Work } from "./catalogue.ts";

const EXCERPT_LENGTH = 230;

export interface TextBlock {
  readonly kind: "heading" | "paragraph";
  readonly text: string;
}

/** The blocks of a text work, without the title that its page already shows. */
export async function readTextBlocks(work: Work): Promise<readonly TextBlock[]> {
  const text = await readFile(work.diskPath, "utf8");
  const blocks = text
    .split(/\r?\n(?:[ \t]*\r?\n)+/)
    .map((block) => block.trim())
    .filter((block) => block !== "")
    .map(toBlock);
  return blocks[0]?.text === work.title ? blocks.slice(1) : blocks;
}

/** The beginning of the first paragraph, cut between words. */
export function excerptOf(blocks: readonly TextBlock[]): string {
  const text = blocks.find((block) => block.kind === "paragraph")?.text ?? "";
  if (text.length <= EXCERPT_LENGTH) return text;
  const cut = text.lastIndexOf(" ", EXCERPT_LENGTH);
  return `${text.slice(0, cut > 0 ? cut : EXCERPT_LENGTH).replace(/[,;:.]$/, "")} …`;
}

function toBlock(block: string): TextBlock {
  const heading = /^#{1,6}[ \t]+(.+)$/.exec(block);
  if (heading?.[1] !== undefined) return { kind: "heading", text: heading[1] };
  return { kind: "paragraph", text: block };
}
