import { createTextCheck } from "@licet/protocol";
import { createHash } from "node:crypto";
import { type FileHandle, open } from "node:fs/promises";
import { constants } from "node:fs";

/** Read this much at a time; memory stays the same at any file size. */
const CHUNK_BYTES = 1024 * 1024;

/** What reading a file once, from end to end, tells. */
export interface Fingerprint {
  /** SHA-256 as 64 lower-case hexadecimal digits. */
  readonly sha256: string;
  readonly sizeBytes: number;
  /** True when all of it is UTF-8 without a NUL. */
  readonly isText: boolean;
  /** When the file was last written, in seconds since the epoch. */
  readonly modifiedAt: number;
}

/**
 * Hashes a file while streaming it, in constant memory. Follows no symbolic link. Throws when the
 * file cannot be read, or changes while it is being read.
 *
 * @example const { sha256, sizeBytes } = await fingerprintFile("works/dawn.mp3");
 */
export async function fingerprintFile(
  path: string,
  onBytes: (byteCount: number) => void = () => undefined,
): Promise<Fingerprint> {
  const file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW);
  try {
    const before = await file.stat();
    const read = await readThrough(file, onBytes);
    const after = await file.stat();
    if (read.sizeBytes !== after.size || before.mtimeMs !== after.mtimeMs)
      throw new Error("it changed while it was being read");
    return { ...read, modifiedAt: Math.floor(after.mtimeMs / 1_000) };
  } finally {
    await file.close();
  }
}

async function readThrough(
  file: FileHandle,
  onBytes: (byteCount: number) => void,
): Promise<Omit<Fingerprint, "modifiedAt">> {
  const hash = createHash("sha256");
  const text = createTextCheck();
  const chunk = Buffer.allocUnsafe(CHUNK_BYTES);
  let sizeBytes = 0;
  for (;;) {
    const { bytesRead } = await file.read(chunk, 0, CHUNK_BYTES);
    if (bytesRead === 0) break;
    const bytes = chunk.subarray(0, bytesRead);
    hash.update(bytes);
    text.update(bytes);
    sizeBytes += bytesRead;
    onBytes(bytesRead);
  }
  return { sha256: hash.digest("hex"), sizeBytes, isText: text.end() };
}
