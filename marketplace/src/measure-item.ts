import { type Result, accept, modalityOf, refuse, type UsageReceipt } from "@licet/protocol";
import { type SendOptions, openResponse, readBody, readChunks } from "@licet/sdk";
import { createHash } from "node:crypto";
import type { StoredItem } from "./dataset-store.ts";

/** A work larger than this is not trained on. */
const MAX_ITEM_BYTES = 512 * 1024 * 1024;
/** A work that is not there after this long is given up. */
const ITEM_TIMEOUT_SECONDS = 120;
const MAX_PROBLEM_BYTES = 64 * 1024;

export type Usage = UsageReceipt["usage"];

/**
 * Fetches one work from its canonical URL and counts it while it streams by. Refuses
 * `content_mismatch` when its bytes are not the ones the dataset pins, `unavailable` when they are
 * not to be had, `body_too_large`.
 */
export async function measureItem(
  item: StoredItem,
  options: Pick<SendOptions, "fetch" | "signal">,
): Promise<Result<Usage>> {
  const headers = { "user-agent": "licet-reference-marketplace/0.1 (AI training)" };
  const opened = await openResponse(
    { method: "GET", url: item.canonical_url, headers, repeatable: true },
    { ...options, timeoutSeconds: ITEM_TIMEOUT_SECONDS },
  );
  if (!opened.ok) return opened;
  if (opened.value.status !== 200) {
    await readBody(opened.value, MAX_PROBLEM_BYTES);
    return refuse("unavailable", `${item.canonical_url}: expected status 200, got ${opened.value.status}`);
  }
  const hash = createHash("sha256");
  const unit = unitOf(item);
  const counter = unit === "tokens" ? wordCounter() : undefined;
  let length = 0;
  for await (const chunk of readChunks(opened.value, Math.min(item.size_bytes ?? MAX_ITEM_BYTES, MAX_ITEM_BYTES))) {
    if (!chunk.ok) return chunk;
    hash.update(chunk.value);
    counter?.add(chunk.value);
    length += chunk.value.length;
  }
  const sha256 = hash.digest("hex");
  if (sha256 !== item.sha256)
    return refuse(
      "content_mismatch",
      `${item.canonical_url}: expected SHA-256 ${item.sha256}, got ${sha256} of ${length} bytes`,
    );
  return accept({ unit, count: counter?.count() ?? countOf(item, unit) });
}

/** Text is counted in tokens, sound and film in seconds where their length is known, pictures in images, and everything else in items. */
function unitOf({ mime_type, length_seconds }: StoredItem): Usage["unit"] {
  const modality = modalityOf(mime_type);
  if (modality === "image") return "images";
  if (modality === "audio" || modality === "video") return length_seconds === null ? "items" : "seconds";
  return isPlainText(mime_type) ? "tokens" : "items";
}

/** Books in a container format are text to a license, but their bytes are not words. */
function isPlainText(mimeType: string): boolean {
  return mimeType.startsWith("text/") || ["application/json", "application/xml"].includes(mimeType);
}

function countOf({ length_seconds }: StoredItem, unit: Usage["unit"]): number {
  return unit === "seconds" ? (length_seconds ?? 0) : 1;
}

/** A count of text that arrives in pieces. */
export interface WordCounter {
  readonly add: (chunk: Uint8Array) => void;
  readonly count: () => number;
}

const WORD_OR_MARK = /[\p{L}\p{N}]+|[^\s\p{L}\p{N}]/gu;
const ENDS_IN_WORD = /[\p{L}\p{N}]$/u;
const BEGINS_WITH_WORD = /^[\p{L}\p{N}]/u;

/**
 * Counts "tokens" the plain way: each run of letters and digits is one, and so is each other
 * visible character. It is nobody's tokenizer, but anybody can repeat it.
 */
export function wordCounter(): WordCounter {
  const decoder = new TextDecoder();
  let total = 0;
  let endsInWord = false;
  const take = (text: string): void => {
    if (text === "") return;
    total += text.match(WORD_OR_MARK)?.length ?? 0;
    if (endsInWord && BEGINS_WITH_WORD.test(text)) total -= 1;
    endsInWord = ENDS_IN_WORD.test(text);
  };
  return {
    add: (chunk) => take(decoder.decode(chunk, { stream: true })),
    count: () => {
      take(decoder.decode());
      return total;
    },
  };
}
