/** Callers' identifiers are at most this long. */
export const MAX_IDENTIFIER_LENGTH = 128;

const IDENTIFIER = /^[A-Za-z0-9][A-Za-z0-9_~-]*(\.[A-Za-z0-9_~-]+)*$/;
const QUALIFIED_IDENTIFIER = /^[A-Za-z0-9][A-Za-z0-9_~:-]*(\.[A-Za-z0-9_~:-]+)*$/;

/** True for a dataset, content, marketplace, model or receipt identifier: no slash, no `..`, no colon. */
export function isIdentifier(text: string): boolean {
  return text.length <= MAX_IDENTIFIER_LENGTH && IDENTIFIER.test(text);
}

/** True for identifiers that may carry a namespace: `creator_id` (`user:12345`) and `lineage`. */
export function isQualifiedIdentifier(text: string): boolean {
  return text.length <= MAX_IDENTIFIER_LENGTH && QUALIFIED_IDENTIFIER.test(text);
}

/** The issuer of a creator's tokens: `<origin>/creators/<creator_id>`. */
export function creatorIssuer(origin: string, creatorId: string): string {
  return `${origin}/creators/${creatorId}`;
}

/** The creator behind an issuer, or undefined when it is not a creator of this origin. */
export function creatorOfIssuer(issuer: string, origin: string): string | undefined {
  const prefix = `${origin}/creators/`;
  if (!issuer.startsWith(prefix)) return undefined;
  const creatorId = issuer.slice(prefix.length);
  return isQualifiedIdentifier(creatorId) ? creatorId : undefined;
}

/**
 * True for an origin (RFC 6454) as it is written in `iss`: scheme and host, a port only when it is
 * not the scheme's own, no path and no trailing slash.
 */
export function isOrigin(text: string): boolean {
  if (!URL.canParse(text)) return false;
  const url = new URL(text);
  return (url.protocol === "https:" || url.protocol === "http:") && url.origin === text;
}
