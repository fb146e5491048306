/** What an OAuth client may be allowed to do. */
export const PLATFORM_SCOPES = [
  "creators:read",
  "creators:write",
  "sessions:write",
  "content:read",
  "content:write",
  "consents:read",
  "consents:write",
  "datasets:read",
  "datasets:write",
  "marketplaces:read",
  "receipts:read",
  "interactions:read",
  "events:read",
  "metrics:read",
] as const;

export const MARKETPLACE_SCOPES = [
  "datasets:read",
  "receipts:read",
  "receipts:write",
  "marketplaces:read",
  "webhooks:read",
  "webhooks:write",
  "events:read",
] as const;

export type ClientScope = (typeof PLATFORM_SCOPES)[number] | (typeof MARKETPLACE_SCOPES)[number];

export const ALL_SCOPES: readonly ClientScope[] = [...new Set([...PLATFORM_SCOPES, ...MARKETPLACE_SCOPES])];
