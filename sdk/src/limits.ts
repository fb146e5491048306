/** A request that is not answered after this long is given up. */
export const REQUEST_TIMEOUT_SECONDS = 30;
/** A page of items or consents may be larger, and takes at most this long. */
export const PAGE_TIMEOUT_SECONDS = 120;

/** The answer of an API route, and one signed document, are at most this long. */
export const MAX_DOCUMENT_BYTES = 4 * 1024 * 1024;
/** A page of items or consents is at most this long. */
export const MAX_PAGE_BYTES = 64 * 1024 * 1024;
/** One line of items or consents is at most this long. */
export const MAX_LINE_BYTES = 256 * 1024;
/** More pages than this are not turned. */
export const MAX_PAGES = 100_000;

/** The revocation view is read back at most this many pages; what is older is in the status lists. */
export const MAX_REVOCATION_PAGES = 100;
/** Status lists held in memory during one verification, 256 KiB each. */
export const MAX_STATUS_LISTS_HELD = 64;
/** Consents held in memory during one verification. */
export const MAX_CONSENTS_HELD = 200_000;
/** Creators' keys held in memory during one verification. */
export const MAX_CREATOR_KEYS_HELD = 10_000;
/** A check, and the list of withdrawn lines, name at most this many; the count is always exact. */
export const MAX_LISTED = 1_000;

/** A repeatable request that met 503 is sent again at most this often. */
export const MAX_RETRIES = 2;
/** A server that asks for a longer pause than this gets no second request. */
export const MAX_RETRY_AFTER_SECONDS = 5;
/** An access token is replaced this long before it expires, or at half its life when that is later. */
export const TOKEN_MARGIN_SECONDS = 30;

/** Events that `rememberInMemory` knows again; an event comes again within days, not years. */
export const MAX_REMEMBERED_EVENTS = 10_000;
