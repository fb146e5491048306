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
