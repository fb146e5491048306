import { row } from "./refusal-row.ts";

/** Why an edge keeps a work back: the rows of the table of refusals about addresses, credentials and facts. */
export const EDGE_REFUSALS = {
  content_url_invalid: row(
    400,
    "The URL cannot be the address of a work",
    "Use an absolute http or https URL without user name, backslashes and control characters, of at most 2048 characters.",
  ),
} as const;
