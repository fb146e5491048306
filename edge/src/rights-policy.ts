import {
  type AiprefLabel,
  type ContentFact,
  type Modality,
  contentSignal,
  contentUsage,
  normaliseContentUrl,
  openLabels,
  standingGrants,
} from "@licet/protocol";
import type { EdgeConfig } from "./config.ts";

/** A host as the platform's paths say it. */
const HOST = /^[a-z0-9_-]+(?:\.[a-z0-9_-]+)*(?::\d{1,5})?$/;

/** Where a license for what is at a URL is had: where the operator says, or the platform's RSL document of the host, or of everything. */
export function licenseUrlOf({ origin, licenseUrl }: EdgeConfig, url?: string): string {
  if (licenseUrl !== undefined) return licenseUrl;
  const normalised = url === undefined ? undefined : normaliseContentUrl(url);
  const host = normalised?.ok === true ? new URL(normalised.value).host : "";
  return HOST.test(host) ? `${origin}/rights/${host.replace(":", "~")}/license.xml` : `${origin}/rsl/catalogue.xml`;
}

/**
 * What is open to everybody, in the words of each convention: AIPREF (`Content-Usage`), Cloudflare
 * (`Content-Signal`) and TDMRep (`tdm-reservation`), with the license beside it (RSL), as the
 * platform itself says it. Training is text and data mining, so that reserving one reserves the other.
 */
export function rightsHeaders(
  open: readonly AiprefLabel[],
  licenseUrl: string,
): readonly (readonly [string, string])[] {
  return [
    ["content-usage", contentUsage(open)],
    ["content-signal", contentSignal(open)],
    ["tdm-reservation", open.includes("train-ai") ? "0" : "1"],
    ["link", licenseLink(licenseUrl)],
  ];
}

export function licenseLink(licenseUrl: string): string {
  return `<${licenseUrl}>; rel="license"; type="application/rsl+xml"`;
}

/**
 * What of the operator's policy may be said of one address: of a work that the platform knows only
 * what a grant of it that stands opens to everybody, and nothing where it cannot be told.
 */
export function openAt(policy: readonly AiprefLabel[], content: ContentFact, now: number): readonly AiprefLabel[] {
  if (content.state === "unlicensed") return policy;
  if (content.state === "missing" || content.modality === undefined) return [];
  const { modality } = content;
  const opened = standingGrants(content, now).flatMap(({ scope }) => openLabels(scope, modality satisfies Modality));
  return policy.filter((label) => opened.includes(label));
}
