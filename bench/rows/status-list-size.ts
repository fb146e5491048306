import { STATUS, STATUS_LIST_BYTES, STATUS_LIST_ENTRIES, compressStatusList, setStatusAt } from "@licet/protocol";
import { randomInt } from "node:crypto";
import { promisify } from "node:util";
import { deflate } from "node:zlib";
import { type Row, digits, median } from "../row.ts";

const deflateAsync = promisify(deflate);
const LISTS = 5;
const REVOKED_SHARE = 0.01;
/** Entropy of 2^20 entries of which one in a hundred is set, in bytes. */
const ENTROPY_BYTES =
  (STATUS_LIST_ENTRIES *
    -(REVOKED_SHARE * Math.log2(REVOKED_SHARE) + (1 - REVOKED_SHARE) * Math.log2(1 - REVOKED_SHARE))) /
  8;
const LEVELS = [
  { level: 6, when: "in the revoke's own step", budgetKilobytes: 18.5 },
  { level: 9, when: "once recompressed", budgetKilobytes: 15.5 },
] as const;

/** How long a status list is with one in a hundred revoked at random. */
export async function measureStatusListSize(): Promise<readonly Row[]> {
  const lists = Array.from({ length: LISTS }, randomList);
  const rows: Row[] = [];
  for (const { level, when, budgetKilobytes } of LEVELS) {
    const lengths: number[] = [];
    for (const bits of lists)
      await compressStatusList(bits, async (bytes) => {
        const compressed = new Uint8Array(await deflateAsync(bytes, { level }));
        lengths.push(compressed.length);
        return compressed;
      });
    const kilobytes = median(lengths) / 1_000;
    rows.push({
      what: `status list, 2^20 × 2 bits, 1 % revoked, \`lst\` ${when} (deflate ${level})`,
      budget: `≤ ${budgetKilobytes} KB`,
      ours: `${digits(kilobytes)} KB`,
      baseline: `${digits(ENTROPY_BYTES / 1_000)} KB (entropy)`,
      ratio: digits(kilobytes / (ENTROPY_BYTES / 1_000)),
      holds: kilobytes <= budgetKilobytes,
      how: `${LISTS} random lists, median length of the compressed bytes, of which \`lst\` is the base64url, a third longer; the baseline is what no code can go below.`,
    });
  }
  return rows;
}

function randomList(): Uint8Array<ArrayBuffer> {
  const bits = new Uint8Array(STATUS_LIST_BYTES);
  for (let revoked = 0; revoked < STATUS_LIST_ENTRIES * REVOKED_SHARE; revoked += 1)
    setStatusAt(bits, randomInt(STATUS_LIST_ENTRIES), STATUS.revoked);
  return bits;
}
