import { randomBytes } from "node:crypto";

const PREFIX_BYTES = 10;
const COUNT_DIGITS = 6;
const prefix = randomBytes(PREFIX_BYTES).toString("hex").toUpperCase();
let count = 0;

/** A name for a request, for logs and problems: unique, and made without asking for randomness each time. */
export function newRequestId(): string {
  count += 1;
  return `req_${prefix}${count.toString(36).toUpperCase().padStart(COUNT_DIGITS, "0")}`;
}
