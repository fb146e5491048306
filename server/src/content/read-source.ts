import {
  type Result,
  accept,
  createTextCheck,
  isTextType,
  modalityOf,
  refuse,
  textTypeOfName,
  typeOfSniffed,
} from "@licet/protocol";
import { createHash } from "node:crypto";
import { mkdtemp, open, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Context } from "../context.ts";
import type { Download } from "../http/outbound.ts";
import { type Space, takeSpace } from "./temporary-space.ts";

/** What the bytes at a URL tell about themselves. */
export interface Source {
  readonly sha256: string;
  readonly size_bytes: number;
  /** Undefined when neither the bytes nor the name of the URL tell it. */
  readonly mime_type: string | undefined;
  readonly length_ms: number | undefined;
  /** `Last-Modified`, in seconds since the epoch. */
  readonly modifiedAt: number | undefined;
}

/** Redirects between a work's canonical URL and its bytes, such as to a CDN. */
const MAX_REDIRECTS = 5;
/** From the first byte of a work to its last. */
const DOWNLOAD_TIMEOUT_MS = 600_000;

/**
 * Reads a work from its URL in constant memory, and describes it as `licet import` describes a file:
 * hash, size, type, length. The bytes lie in a temporary file meanwhile, since the length of a film
 * may stand at its end.
 *
 * Refuses `url_forbidden`, `source_unavailable`, `source_too_large`, `unavailable`.
 */
export async function readSource(ctx: Pick<Context, "outbound" | "config">, url: string): Promise<Result<Source>> {
  const folder = await mkdtemp(join(tmpdir(), "licet-source-"));
  const space = takeSpace(ctx);
  try {
    const path = join(folder, "bytes");
    const fetched = await fetchTo(ctx, { url, path, space });
    if (!fetched.ok) return fetched;
    const { download, sha256, isText } = fetched.value;
    const described = await describeFile(path, { isText, nameType: nameTypeOf(url, download) });
    const modifiedAt = Math.floor(Date.parse(download.headers.get("last-modified") ?? "") / 1_000);
    return accept({
      sha256,
      size_bytes: download.sizeBytes,
      ...described,
      modifiedAt: modifiedAt >= 0 ? modifiedAt : undefined,
    });
  } finally {
    await rm(folder, { recursive: true, force: true });
    space.giveBack();
  }
}

interface Fetched {
  readonly download: Download;
  readonly sha256: string;
  readonly isText: boolean;
}

/** Carries it out of a download that there is no room for what is still to come. */
class NoRoom extends Error {}

async function fetchTo(
  { outbound, config }: Pick<Context, "outbound" | "config">,
  { url, path, space }: { readonly url: string; readonly path: string; readonly space: Space },
): Promise<Result<Fetched>> {
  const hash = createHash("sha256");
  const text = createTextCheck();
  const limits = { maxBytes: config.maxSourceBytes, maxRedirects: MAX_REDIRECTS, timeoutMs: DOWNLOAD_TIMEOUT_MS };
  const file = await open(path, "wx", 0o600);
  try {
    const download = await outbound.download(url, limits, async (chunk) => {
      if (!space.take(chunk.length)) throw new NoRoom();
      hash.update(chunk);
      text.update(chunk);
      await file.writeFile(chunk);
    });
    if (!download.ok) return download;
    return accept({ download: download.value, sha256: hash.digest("hex"), isText: text.end() });
  } catch (error) {
    if (!(error instanceof NoRoom)) throw error;
    return refuse(
      "unavailable",
      `${url}: expected works that are read at once to take at most ${config.temporaryBytes} bytes together; try again when others are done`,
    );
  } finally {
    await file.close();
  }
}

/** The type of text that the URL's name or the answer's header claims; other types are told by the bytes. */
function nameTypeOf(url: string, { headers }: Download): string | undefined {
  const header = (headers.get("content-type") ?? "").split(";", 1)[0]?.trim().toLowerCase() ?? "";
  return textTypeOfName(new URL(url).pathname) ?? (isTextType(header) ? header : undefined);
}

interface Clues {
  readonly isText: boolean;
  readonly nameType: string | undefined;
}

async function describeFile(
  path: string,
  { isText, nameType }: Clues,
): Promise<Pick<Source, "mime_type" | "length_ms">> {
  // Before any sniffing, because prose may begin like a picture ("BM") and UTF-16 like an MP3 frame.
  if (nameType !== undefined) return { mime_type: isText ? nameType : undefined, length_ms: undefined };
  // Loaded with the first work that is read: servers whose platform sends hashes read none.
  const { fileTypeFromFile } = await import("file-type");
  const sniffed = await fileTypeFromFile(path);
  if (sniffed === undefined) return { mime_type: undefined, length_ms: undefined };
  const mimeType = typeOfSniffed(sniffed.mime);
  const modality = modalityOf(mimeType);
  if (modality !== "audio" && modality !== "video") return { mime_type: mimeType, length_ms: undefined };
  const { lengthMs, hasVideo } = await readLength(path);
  return { mime_type: typeOfSniffed(mimeType, { hasVideo }), length_ms: lengthMs };
}

interface MediaLength {
  readonly lengthMs?: number;
  readonly hasVideo?: boolean | undefined;
}

/** What damaged media does not say stays unknown: a work without a known length is still a work. */
async function readLength(path: string): Promise<MediaLength> {
  const { parseFile } = await import("music-metadata");
  try {
    const { duration, hasVideo } = (await parseFile(path, { duration: true, skipCovers: true })).format;
    const isKnown = duration !== undefined && Number.isFinite(duration) && duration > 0;
    return { hasVideo, ...(isKnown ? { lengthMs: Math.round(duration * 1_000) } : {}) };
  } catch (error) {
    // Its parsers throw errors of their own, and TypeErrors and RangeErrors, on media that is damaged.
    if (error instanceof Error) return {};
    throw error;
  }
}
