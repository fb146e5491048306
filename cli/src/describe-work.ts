import { formatInstant, modalityOf, sha256Hex, typeOfSniffed } from "@licet/protocol";
import { join } from "node:path";
import { reasonOf } from "./command-error.ts";
import { fingerprintFile } from "./fingerprint-file.ts";
import { mediaTypeOfFile } from "./media-type-of-file.ts";
import { readMediaLength } from "./media-length.ts";

/** A work as `POST /api/v1/content` takes it. */
export interface WorkRecord {
  readonly content_id: string;
  readonly creator_id: string;
  readonly canonical_url: string;
  readonly sha256: string;
  readonly mime_type: string;
  readonly created_at: string;
  readonly size_bytes: number;
  readonly length_ms?: number;
  readonly license?: string;
}

/** What all works of one import share. */
export interface WorkOrigin {
  readonly folder: string;
  readonly creatorId: string;
  /** Ends with a slash; see {@link readBaseUrl}. */
  readonly baseUrl: string;
  readonly license?: string | undefined;
  /** When a work was made, by its relative path; otherwise it is when the file was last written. */
  readonly createdAtOf?: ((relativePath: string) => string | undefined) | undefined;
}

/** A work, or why the file is none. */
export type Description =
  | { readonly isWork: true; readonly record: WorkRecord }
  | { readonly isWork: false; readonly reason: string };

/** Reads a file, in constant memory, into the record that describes it. */
export async function describeWork(
  origin: WorkOrigin,
  relativePath: string,
  onBytes?: (byteCount: number) => void,
): Promise<Description> {
  const path = join(origin.folder, relativePath);
  try {
    const fingerprint = await fingerprintFile(path, onBytes);
    const type = await mediaTypeOfFile(path, fingerprint.isText);
    if (!type.known) return { isWork: false, reason: type.reason };
    const timed = await readTimed(path, type.mimeType);
    return {
      isWork: true,
      record: {
        content_id: contentIdOf(origin.creatorId, relativePath),
        creator_id: origin.creatorId,
        canonical_url: canonicalUrlOf(origin.baseUrl, relativePath),
        sha256: fingerprint.sha256,
        created_at: origin.createdAtOf?.(relativePath) ?? formatInstant(Math.max(0, fingerprint.modifiedAt)),
        size_bytes: fingerprint.sizeBytes,
        ...timed,
        ...(origin.license === undefined ? {} : { license: origin.license }),
      },
    };
  } catch (error) {
    return { isWork: false, reason: `it cannot be read: ${reasonOf(error)}` };
  }
}

async function readTimed(path: string, mimeType: string): Promise<Pick<WorkRecord, "mime_type" | "length_ms">> {
  const modality = modalityOf(mimeType);
  if (modality !== "audio" && modality !== "video") return { mime_type: mimeType };
  const { lengthMs, hasVideo } = await readMediaLength(path);
  // WebM and MP4 carry sound alone as well, and a consent tells sound recordings from videos.
  const mime_type = typeOfSniffed(mimeType, { hasVideo });
  return { mime_type, ...(lengthMs === undefined ? {} : { length_ms: lengthMs }) };
}

const CONTENT_ID_DIGITS = 32;

/**
 * The identifier of a work nobody named: the same creator and relative path always give the same,
 * so that importing a folder again finds what is there.
 */
export function contentIdOf(creatorId: string, relativePath: string): string {
  return `content_${sha256Hex(`licet/import/v1\n${creatorId}\n${relativePath}`).slice(0, CONTENT_ID_DIGITS)}`;
}

/** Where a work is on the web: the base URL and the relative path, each segment percent-encoded. */
export function canonicalUrlOf(baseUrl: string, relativePath: string): string {
  return baseUrl + relativePath.split("/").map(encodeURIComponent).join("/");
}
