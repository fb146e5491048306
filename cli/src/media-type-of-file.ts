import { modalityOf, textTypeOfName, typeOfSniffed } from "@licet/protocol";
import { fileTypeFromFile } from "file-type";
import { extname } from "node:path";

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
  const textType = textTypeOfName(path);
  // Before any sniffing, because prose may begin like a picture ("BM") and UTF-16 like an MP3 frame.
  if (textType !== undefined)
    return isText
      ? licensable(textType)
      : { known: false, reason: `a ${extension} file is text, and this one is not UTF-8` };
  const sniffed = await fileTypeFromFile(path);
  return sniffed === undefined
    ? { known: false, reason: "its type is unknown" }
    : licensable(typeOfSniffed(sniffed.mime));
}

function licensable(mimeType: string): MediaType {
  return modalityOf(mimeType) === undefined
    ? { known: false, reason: `${mimeType} is neither text, audio, image nor video` }
    : { known: true, mimeType };
}
