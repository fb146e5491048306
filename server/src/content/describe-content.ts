import { type Result, accept, formatInstant, modalityOf, refuse } from "@licet/protocol";
import type { Context } from "../context.ts";
import type { ContentInput, DescribedContent } from "./content-input.ts";
import { type Source, readSource } from "./read-source.ts";

/**
 * Completes the description of a work: with a hash and nothing else asked, it is taken as it is;
 * otherwise the bytes at its URL are read, what is missing is found out, and what is there must agree.
 *
 * Refuses as {@link readSource} does, and `source_mismatch`, `input_invalid`.
 */
export async function describeContent(ctx: Context, input: ContentInput): Promise<Result<DescribedContent>> {
  const { read_url: readUrl, sha256, mime_type, created_at, ...given } = input;
  if (!readUrl && sha256 !== undefined && mime_type !== undefined && created_at !== undefined)
    return accept({ ...given, sha256, mime_type, created_at });
  const source = await readSource(ctx, input.canonical_url);
  if (!source.ok) return source;
  const agreed = checkAgreement(input, source.value);
  if (!agreed.ok) return agreed;
  const mimeType = mime_type ?? source.value.mime_type;
  if (mimeType === undefined || modalityOf(mimeType) === undefined)
    return refuse(
      "input_invalid",
      `mime_type: expected one of text, audio, image or video, since the bytes at the URL are ${mimeType ?? "of an unknown type"}`,
    );
  const { modifiedAt, size_bytes } = source.value;
  const createdAt = created_at ?? (modifiedAt === undefined ? undefined : formatInstant(modifiedAt));
  if (createdAt === undefined)
    return refuse("input_invalid", "created_at: expected when the work was made, since its URL has no Last-Modified");
  const length_ms = input.length_ms ?? source.value.length_ms;
  return accept({
    ...given,
    sha256: source.value.sha256,
    size_bytes,
    mime_type: mimeType,
    created_at: createdAt,
    ...(length_ms === undefined ? {} : { length_ms }),
  });
}

/** A type may be given more exactly than bytes tell it, but it must be of the same kind. */
function checkAgreement(input: ContentInput, source: Source): Result<true> {
  const modality = (type: string | undefined) => (type === undefined ? undefined : modalityOf(type));
  const [given, found] = [modality(input.mime_type), modality(source.mime_type)];
  const disagreements = [
    ...(input.sha256 === undefined || input.sha256 === source.sha256
      ? []
      : [`sha256: expected ${input.sha256}, got ${source.sha256} of ${source.size_bytes} bytes`]),
    ...(input.size_bytes === undefined || input.size_bytes === source.size_bytes
      ? []
      : [`size_bytes: expected ${input.size_bytes}, got ${source.size_bytes}`]),
    ...(given === undefined || found === undefined || given === found
      ? []
      : [`mime_type: expected ${input.mime_type}, got ${source.mime_type}`]),
  ];
  return disagreements.length === 0
    ? accept(true)
    : refuse("source_mismatch", `${input.canonical_url}: ${disagreements.join("; ")}`);
}
