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
  "licenses:read",
  "licenses:approve",
  "receipts:read",
  "ledger:read",
  "ledger:write",
  "payouts:read",
  "payouts:write",
  "analytics:read",
  "interactions:read",
  "events:read",
  "metrics:read",
  "edge:report",
] as const;

export const MARKETPLACE_SCOPES = [
  "datasets:read",
  "licenses:read",
  "licenses:write",
  "receipts:read",
  "receipts:write",
  "ledger:read",
  "marketplaces:read",
  "webhooks:read",
  "webhooks:write",
  "events:read",
] as const;

export type ClientScope = (typeof PLATFORM_SCOPES)[number] | (typeof MARKETPLACE_SCOPES)[number];

export const ALL_SCOPES: readonly ClientScope[] = [...new Set([...PLATFORM_SCOPES, ...MARKETPLACE_SCOPES])];
