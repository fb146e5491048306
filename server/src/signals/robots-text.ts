import { type AiprefLabel, contentSignal, contentUsage } from "@licet/protocol";

/** RFC 9309 section 2.5 has crawlers read 500 KiB; what is left is the platform's. */
const MAX_LINES_LENGTH = 400 * 1_024;

/** A path that is open to everybody, and for what. */
export interface OpenPath {
  readonly path: string;
  readonly open: readonly AiprefLabel[];
}

export interface RobotsText {
  /** Where the RSL license of the host's works is. */
  readonly licenseUrl: string;
  readonly openPaths: readonly OpenPath[];
  /** True for a whole robots.txt, false for a group that a platform puts into its own. */
  readonly isWhole: boolean;
}

/**
 * A `robots.txt`, or a group for one: everything is reserved (AIPREF `Content-Usage`, draft-ietf-aipref-attach-05;
 * Cloudflare's `Content-Signal`, which knows no paths), the license says on what terms it is to be had
 * (RSL 1.0 section 4.4), and what is open to everybody is named path by path. A path that finds no room
 * stays reserved. `License` stands in the group, so that it reads the same wherever the group is put.
 */
export function robotsText({ licenseUrl, openPaths, isWhole }: RobotsText): string {
  const head = [
    "# Rights signals by Licet. What is reserved here can be licensed: see License.",
    "User-agent: *",
    ...(isWhole ? ["Allow: /"] : []),
    `License: ${licenseUrl}`,
    `Content-Signal: ${contentSignal([])}`,
    `Content-Usage: ${contentUsage([])}`,
  ];
  let length = 0;
  const lines = openPaths
    .map(({ path, open }) => `Content-Usage: ${path} ${contentUsage(open)}`)
    .filter((line) => (length += line.length + 1) <= MAX_LINES_LENGTH);
  return [...head, ...lines, ""].join("\n");
}
