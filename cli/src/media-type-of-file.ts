import { modalityOf } from "@licet/protocol";
import { fileTypeFromFile } from "file-type";
import { extname } from "node:path";

/** Text has no magic number: its extension names the type. */
const TEXT_TYPES: Readonly<Record<string, string>> = {
  ".csv": "text/csv",
  ".htm": "text/html",
  ".html": "text/html",
  ".json": "application/json",
  ".markdown": "text/markdown",
  ".md": "text/markdown",
  ".svg": "image/svg+xml",
  ".tex": "text/x-tex",
  ".tsv": "text/tab-separated-values",
  ".txt": "text/plain",
  ".vtt": "text/vtt",
  ".xhtml": "application/xhtml+xml",
  ".xml": "application/xml",
};

/** A MIME type that Licet licenses, or why there is none. */
export type MediaType =
  | { readonly known: true; readonly mimeType: string }
  | { readonly known: false; readonly reason: string };

/**
 * Tells a file's MIME type. What calls itself text has to be UTF-8, and its extension says which
 * text it is; anything else is told by its bytes, whatever it calls itself.
 *
 * @example await mediaTypeOfFile("works/dawn.mp3", false) // → { known: true, mimeType: "audio/mpeg" }
 */
export async function mediaTypeOfFile(path: string, isText: boolean): Promise<MediaType> {
  const extension = extname(path).toLowerCase();
  const textType = TEXT_TYPES[extension];
  // Before any sniffing, because prose may begin like a picture ("BM") and UTF-16 like an MP3 frame.
  if (textType !== undefined)
    return isText
      ? licensable(textType)
      : { known: false, reason: `a ${extension} file is text, and this one is not UTF-8` };
  const sniffed = await fileTypeFromFile(path);
  return sniffed === undefined
    ? { known: false, reason: "its type is unknown" }
    : licensable(sniffed.mime.split(";", 1)[0] ?? sniffed.mime);
}

function licensable(mimeType: string): MediaType {
  return modalityOf(mimeType) === undefined
    ? { known: false, reason: `${mimeType} is neither text, audio, image nor video` }
    : { known: true, mimeType };
}
