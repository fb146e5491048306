/** The kinds of work the scope table tells apart. */
export type Modality = "text" | "audio" | "image" | "video";
export const MODALITIES = ["text", "audio", "image", "video"] as const satisfies readonly Modality[];

const MIME_TYPE =
  /^(?:application|audio|font|image|message|model|multipart|text|video)\/[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,100}$/;

/** Documents that are text although their MIME type does not begin with `text/`. */
const TEXT_APPLICATIONS = [
  "application/json",
  "application/pdf",
  "application/rtf",
  "application/xml",
  "application/epub+zip",
];

export function isMimeType(text: string): boolean {
  return MIME_TYPE.test(text);
}

/** The modality of a MIME type (RFC 6838), or undefined when it is none that Licet licenses. */
export function modalityOf(mimeType: string): Modality | undefined {
  const essence = mimeType.toLowerCase();
  if (TEXT_APPLICATIONS.includes(essence)) return "text";
  const prefix = essence.slice(0, essence.indexOf("/"));
  return MODALITIES.find((modality) => modality === prefix);
}

/** Text has no magic number: the extension of its name tells which text it is. */
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

/**
 * The MIME type of text by the extension of its name or path, undefined when it is not one of text.
 *
 * @example textTypeOfName("works/a-map.MD") // → "text/markdown"
 */
export function textTypeOfName(name: string): string | undefined {
  const extension = /\.[a-z]+$/.exec(name.toLowerCase())?.[0] ?? "";
  return Object.hasOwn(TEXT_TYPES, extension) ? TEXT_TYPES[extension] : undefined;
}

/** True for a MIME type whose bytes are characters. */
export function isTextType(mimeType: string): boolean {
  return mimeType.startsWith("text/") || Object.values(TEXT_TYPES).includes(mimeType);
}

/** Tells whether bytes that come in pieces are UTF-8 without a NUL. */
export interface TextCheck {
  readonly update: (bytes: Uint8Array) => void;
  readonly end: () => boolean;
}

/** A {@link TextCheck}, which stops looking at the first bytes that are not text. */
export function createTextCheck(): TextCheck {
  const decoder = new TextDecoder("utf-8", { fatal: true });
  let isText = true;
  const decode = (bytes: Uint8Array, stream: boolean): void => {
    try {
      decoder.decode(bytes, { stream });
    } catch (error) {
      if (!(error instanceof TypeError)) throw error;
      isText = false;
    }
  };
  return {
    update: (bytes) => {
      if (isText && bytes.includes(0)) isText = false;
      if (isText) decode(bytes, true);
    },
    end: () => {
      if (isText) decode(new Uint8Array(), false);
      return isText;
    },
  };
}

/** A type as its bytes tell it, with parameters left out; sound alone in a container for films is sound. */
export function typeOfSniffed(sniffed: string, { hasVideo }: { readonly hasVideo?: boolean | undefined } = {}): string {
  const essence = sniffed.split(";", 1)[0] ?? sniffed;
  return hasVideo === false ? essence.replace(/^video/, "audio") : essence;
}
