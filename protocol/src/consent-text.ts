import { sha256Hex } from "./digest.ts";
import { formatInstant } from "./instant.ts";
import { PROHIBITIONS, type Prohibition, SCOPE_TABLE } from "./scope.ts";
import { parsePrice, type PricingUnit } from "./pricing.ts";
import type { ConsentSubject } from "./consent-token.ts";

/** What the words shown to a creator are made of. Times are seconds since the epoch. */
export interface ConsentTextParts {
  /** The terms of the license, as published. */
  readonly terms: string;
  readonly license: string;
  readonly subject: ConsentSubject;
  readonly scope: readonly string[];
  readonly priceFloor: string;
  readonly issuedAt: number;
  readonly expiresAt: number;
  readonly futureWorks: boolean;
  readonly prohibitions: readonly Prohibition[];
  readonly audience: readonly string[];
}

const PROHIBITION_SENTENCES: Record<Prohibition, string> = {
  digital_replica: "Nobody may make a digital replica of you.",
  voice_clone: "Nobody may clone your voice.",
  style_imitation: "Nobody may make a system imitate your style.",
};

const UNIT_WORDS: Record<PricingUnit, string> = {
  "per-token": "for each token",
  "per-item": "for each work",
  "per-minute": "for each minute",
  "per-image": "for each picture",
  flat: "in all",
};

/**
 * The exact text a creator sees before signing, and signs for: its SHA-256 is the claim
 * `terms_sha256`. The same parts always give the same bytes.
 */
export function consentText(parts: ConsentTextParts): string {
  const scopeRows = parts.scope.map((entry) => SCOPE_TABLE.get(entry)).filter((row) => row !== undefined);
  const lines = [
    "WHAT YOU AGREE TO",
    "",
    subjectSentence(parts.subject, parts.futureWorks),
    ...scopeRows.map((row) => `- ${row.sentence} For example: ${row.example}`),
    ...(isGranted(parts.scope, "commercial") ? [] : ["- Nobody may earn money with it."]),
    ...(isGranted(parts.scope, "derivative") ? [] : ["- Nobody may make new works based on it."]),
    ...PROHIBITIONS.filter((prohibition) => parts.prohibitions.includes(prohibition)).map(
      (prohibition) => `- ${PROHIBITION_SENTENCES[prohibition]}`,
    ),
    "",
    ...(parts.audience.length > 0 ? [`Only these marketplaces may use it: ${parts.audience.join(", ")}.`] : []),
    priceSentence(parts.priceFloor),
    `It holds from ${formatInstant(parts.issuedAt)} until ${formatInstant(parts.expiresAt)}.`,
    "You can take it back at any time with one click. Taking it back stops all future training and distribution. It cannot undo training that has already happened.",
    "",
    `THE TERMS (${parts.license})`,
    "",
    parts.terms.trimEnd(),
    "",
  ];
  return lines.join("\n");
}

/** The claim `terms_sha256`. */
export function termsSha256(text: string): string {
  return sha256Hex(text);
}

function isGranted(scope: readonly string[], extent: "commercial" | "derivative"): boolean {
  return scope.some((entry) => SCOPE_TABLE.get(entry)?.[extent] === true);
}

function subjectSentence(subject: ConsentSubject, futureWorks: boolean): string {
  switch (subject.kind) {
    case "content":
      return `This is about one work: ${subject.id}.`;
    case "dataset":
      return `This is about your works in the dataset ${subject.id}.`;
    case "creator":
      return futureWorks
        ? "This is about all your works here, and every work you add while it holds."
        : "This is about all the works you have here today. Works you add later are not part of it.";
  }
}

/** Amounts a person can picture: a novel has about a hundred thousand tokens. */
const EXAMPLE_UNITS: Record<PricingUnit, { readonly units: bigint; readonly words: string }> = {
  "per-token": { units: 1_000_000n, words: "A million tokens, about ten novels," },
  "per-item": { units: 100n, words: "A hundred works" },
  "per-minute": { units: 60n, words: "An hour" },
  "per-image": { units: 100n, words: "A hundred pictures" },
  flat: { units: 1n, words: "One use" },
};

function priceSentence(priceFloor: string): string {
  const price = parsePrice(priceFloor);
  if (price === undefined) return `The price is at least ${priceFloor}.`;
  if (price.scaled === 0n)
    return "No lowest price is agreed: the platform sets the price of the dataset, which may be nothing.";
  const { units, words } = EXAMPLE_UNITS[price.unit];
  return `The price is at least ${formatScaled(price.scaled)} ${UNIT_WORDS[price.unit]} in the dataset's currency. ${words} would pay at least ${formatScaled(price.scaled * units)}, shared among the creators of the dataset.`;
}

function formatScaled(scaled: bigint): string {
  const digits = scaled.toString().padStart(13, "0");
  const fraction = digits.slice(-12).replace(/0+$/, "");
  return fraction === "" ? digits.slice(0, -12) : `${digits.slice(0, -12)}.${fraction}`;
}
