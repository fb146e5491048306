import { posix } from "node:path";

/** What a copy's file is called after its path: `/terms/x/1.0` is a document and a folder of others. */
const COPY_SUFFIX = ".signed";
/** What every file system takes for a name, whatever its rules for the rest; our identifiers are no longer. */
const SEGMENT = /^[A-Za-z0-9_~-]*(\.[A-Za-z0-9_~-]+)*$/;
const MAX_SEGMENT_LENGTH = 200;
/** Names that Windows keeps for devices, with any extension. */
const DEVICE = /^(con|prn|aux|nul|com\d|lpt\d)(\.|$)/i;

/**
 * The file of a document's copy, below the folder of copies: its path with {@link COPY_SUFFIX}.
 * Undefined for a path that is no safe name everywhere; such a document is read from a server.
 */
export function copyFileOf(path: string): string | undefined {
  const segments = path.split("/").slice(1);
  const isSafe = segments.every(
    (segment) =>
      segment !== "" && segment.length <= MAX_SEGMENT_LENGTH && SEGMENT.test(segment) && !DEVICE.test(segment),
  );
  return isSafe && path.startsWith("/") ? posix.join(...segments) + COPY_SUFFIX : undefined;
}

/** The document whose copy a file is; undefined for any other file. `file` as {@link copyFileOf} answers it. */
export function pathOfCopy(file: string): string | undefined {
  const path = `/${file.slice(0, -COPY_SUFFIX.length)}`;
  return file.endsWith(COPY_SUFFIX) && copyFileOf(path) === file ? path : undefined;
}
