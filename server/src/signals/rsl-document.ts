import { type Modality, type Price, rslUsages, rslUsers } from "@licet/protocol";

export const RSL_TYPE = "application/rsl+xml";
const NAMESPACE = "https://rslstandard.org/rsl";
/** Our one extension (section 3 of RSL has readers pass over it): a price for a unit that RSL has no word for. */
const PRICE_NAMESPACE = "urn:licet:rsl-price";
/** In days, of which RSL knows no part (section 3.2); HTTP says more. */
const MAX_AGE_DAYS = 1;
/** Longer documents leave the rest out. */
const MAX_CONTENTS_LENGTH = 1_048_576;

/** What a dataset offers for works of one modality, as far as a license of RSL says it. */
export interface RslOffer {
  readonly datasetId: string;
  readonly modality: Modality;
  readonly origin: string;
  readonly scope: readonly string[];
  /** `per-token:0.0001` */
  readonly priceText: string;
  readonly price: Price;
  readonly currency: string;
}

/** An address with its terms. */
export interface RslContent {
  readonly url: string;
  readonly licenses: readonly string[];
  readonly termsUrl: string;
}

/** What a payment says: RSL's own kind, and an amount where one amount of RSL's is what is asked. */
export interface RslPayment {
  readonly type: "free" | "purchase" | "training" | "use";
  readonly amount?: string;
}

/** The evidence that a license names, and by which we know the dataset again. */
export function proofOf(origin: string, datasetId: string): string {
  return `${origin}/datasets/${datasetId}/manifest.json`;
}

/**
 * A price as RSL says it (section 3.7): once for a flat one, for each work used for one by item or
 * image. One by token or minute has no amount in RSL, since any would be read as the price of a work.
 */
export function paymentOf({
  modality,
  scope,
  price,
  priceText,
}: Pick<RslOffer, "modality" | "scope" | "price" | "priceText">): RslPayment {
  const amount = priceText.slice(priceText.indexOf(":") + 1);
  if (price.scaled === 0n) return { type: "free" };
  if (price.unit === "flat") return { type: "purchase", amount };
  const type = rslUsages(scope, modality).includes("ai-train") ? "training" : "use";
  return price.unit === "per-item" || price.unit === "per-image" ? { type, amount } : { type };
}

/**
 * The `<license>` of a dataset's works of one modality: what clients hand in to get ours. Empty when RSL has no word
 * for anything that is offered of them.
 */
export function licenseXml(offer: RslOffer): string {
  const usages = rslUsages(offer.scope, offer.modality);
  if (usages.length === 0) return "";
  const proof = escapeXml(proofOf(offer.origin, offer.datasetId));
  return [
    "<license>",
    `<permits type="usage">${usages.join(" ")}</permits>`,
    `<permits type="user">${rslUsers(offer.scope).join(" ")}</permits>`,
    paymentXml(offer),
    `<legal type="proof">${proof}</legal>`,
    "</license>",
  ].join("");
}

function paymentXml(offer: RslOffer): string {
  const { type, amount } = paymentOf(offer);
  const currency = escapeXml(offer.currency);
  const custom = `${offer.origin}/api/v1/datasets/${offer.datasetId}/licenses`;
  const priced =
    amount === undefined
      ? `<licet:price xmlns:licet="${PRICE_NAMESPACE}" unit="${offer.price.unit}" currency="${currency}">${unitPrice(offer)}</licet:price>`
      : `<amount currency="${currency}">${amount}</amount>`;
  return type === "free"
    ? '<payment type="free"/>'
    : `<payment type="${type}"><custom>${escapeXml(custom)}</custom>${priced}</payment>`;
}

function unitPrice({ priceText }: RslOffer): string {
  return priceText.slice(priceText.indexOf(":") + 1);
}

/**
 * An RSL 1.0 document. `server` is where licenses are to be had; without contents it says that
 * nothing below `reserved` may be used by AI.
 */
export function rslDocument(contents: readonly RslContent[], where: { server: string; reserved: string }): string {
  let length = 0;
  const elements = contents
    .map((content) => contentXml(content, where.server))
    .filter((element) => (length += element.length) <= MAX_CONTENTS_LENGTH);
  const none = `<content url="${escapeXml(where.reserved)}"><license><prohibits type="usage">ai-all</prohibits></license></content>`;
  return [
    '<?xml version="1.0" encoding="UTF-8"?>',
    `<rsl xmlns="${NAMESPACE}" max-age="${MAX_AGE_DAYS}">`,
    ...(elements.length === 0 ? [none] : elements),
    "</rsl>",
    "",
  ].join("\n");
}

function contentXml({ url, licenses, termsUrl }: RslContent, server: string): string {
  const terms = `<terms>${escapeXml(termsUrl)}</terms>`;
  return `<content url="${escapeXml(url)}" server="${escapeXml(server)}">${licenses.join("")}${terms}</content>`;
}

const ENTITIES: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&apos;",
};

function escapeXml(text: string): string {
  return text.replace(/[&<>"']/g, (character) => ENTITIES[character] ?? character);
}
