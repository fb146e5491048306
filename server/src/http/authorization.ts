import { type Result, accept, refuse } from "@licet/protocol";
import type { Principal } from "./principal.ts";
import type { ClientScope } from "./scopes.ts";

/**
 * Who may call a route. A caller that is not named may not. `anyone` needs no credentials; for
 * clients the scope is named; a creator and a marketplace reach only what is theirs, which the
 * operation checks, because only it knows.
 */
export interface Rule {
  readonly anyone?: true;
  readonly operator?: true;
  readonly platform?: ClientScope;
  readonly marketplace?: ClientScope;
  readonly creator?: "own";
}

const ANYONE: Rule = { anyone: true };
const OPERATOR: Rule = { operator: true };

/** The one authorization table: every route and who may call it. A route that is not here does not start. */
export const AUTHORIZATION = {
  "GET /healthz": ANYONE,
  "GET /readyz": ANYONE,
  "GET /openapi.json": ANYONE,
  "GET /problems/{code}": ANYONE,
  "GET /metrics": { operator: true, platform: "metrics:read" },
  "GET /.well-known/oauth-protected-resource": ANYONE,

  "POST /api/v1/creators": { operator: true, platform: "creators:write" },
  "GET /api/v1/creators": { operator: true, platform: "creators:read" },
  "GET /api/v1/creators/{id}": { operator: true, platform: "creators:read", creator: "own" },
  "POST /api/v1/creators/{id}/sessions": { operator: true, platform: "sessions:write" },
  "POST /api/v1/creators/{id}/sessions/end": { operator: true, platform: "sessions:write", creator: "own" },
  "POST /api/v1/creators/{id}/key-challenges": { creator: "own" },
  "POST /api/v1/creators/{id}/keys": { creator: "own" },

  "GET /api/v1/creators/{id}/keys": { operator: true, platform: "creators:read", creator: "own" },
  "POST /api/v1/creators/{id}/keys/{kid}/retire": { operator: true, platform: "creators:write", creator: "own" },
  "POST /api/v1/creators/{id}/keys/{kid}/compromise": { operator: true, platform: "creators:write", creator: "own" },

  "GET /api/v1/keys": OPERATOR,
  "POST /api/v1/keys/rotations": OPERATOR,
  "POST /api/v1/keys/{kid}/revoke": OPERATOR,

  "POST /api/v1/content": { operator: true, platform: "content:write" },
  "POST /api/v1/content/bulk": { operator: true, platform: "content:write" },
  "POST /api/v1/content/{id}/refresh": { operator: true, platform: "content:write" },
  "GET /api/v1/content": { operator: true, platform: "content:read", creator: "own" },
  "GET /api/v1/content/{id}": { operator: true, platform: "content:read", creator: "own" },

  "POST /api/v1/consents/drafts": { operator: true, platform: "consents:write", creator: "own" },
  "POST /api/v1/consents/drafts/{jti}/platform-signature": { operator: true, platform: "consents:write" },
  "POST /api/v1/consents": { operator: true, platform: "consents:write", creator: "own" },
  "GET /api/v1/consents": { operator: true, platform: "consents:read", creator: "own" },
  "GET /api/v1/consents/{jti}": { operator: true, platform: "consents:read", creator: "own" },
  "GET /api/v1/consents/{jti}/history": { operator: true, platform: "consents:read", creator: "own" },
  "POST /api/v1/consents/{jti}/revoke": { operator: true, platform: "consents:write", creator: "own" },
  "POST /api/v1/consents/{jti}/suspend": { operator: true, platform: "consents:write", creator: "own" },
  "POST /api/v1/consents/{jti}/resume": { operator: true, platform: "consents:write", creator: "own" },
  "POST /api/v1/content/{id}/suspend": { operator: true, platform: "content:write", creator: "own" },
  "POST /api/v1/content/{id}/resume": { operator: true, platform: "content:write", creator: "own" },
  "POST /api/v1/datasets/{id}/consent/revoke": { operator: true, platform: "consents:write", creator: "own" },
  "POST /api/v1/creators/{id}/revocations": { operator: true, platform: "consents:write", creator: "own" },

  "GET /api/v1/revocations/{id}": {
    operator: true,
    platform: "events:read",
    marketplace: "events:read",
    creator: "own",
  },
  "POST /api/v1/revocations/{id}/acknowledgements": { marketplace: "receipts:write" },

  "GET /api/v1/backup": OPERATOR,

  "POST /api/v1/clients": OPERATOR,
  "GET /api/v1/clients": OPERATOR,
  "GET /api/v1/clients/{id}": OPERATOR,
  "POST /api/v1/clients/{id}/suspend": OPERATOR,
  "POST /api/v1/clients/{id}/resume": OPERATOR,
  "POST /api/v1/clients/{id}/end": OPERATOR,
  "POST /api/v1/clients/{id}/secrets": OPERATOR,
  "POST /api/v1/clients/{id}/authentication": OPERATOR,
  "GET /api/v1/sessions": { operator: true, creator: "own" },
  "POST /api/v1/sessions": OPERATOR,
  "POST /api/v1/sessions/{id}/end": { operator: true, creator: "own" },
  "POST /api/v1/marketplaces": OPERATOR,
  "GET /api/v1/marketplaces": { operator: true, platform: "marketplaces:read" },
  "GET /api/v1/marketplaces/{id}": { operator: true, platform: "marketplaces:read", marketplace: "marketplaces:read" },
  "POST /api/v1/marketplaces/{id}/receipt-keys": { operator: true, marketplace: "receipts:write" },
  "POST /api/v1/marketplaces/{id}/receipt-keys/{kid}/retire": { operator: true, marketplace: "receipts:write" },
  "POST /api/v1/marketplaces/{id}/receipt-keys/{kid}/revoke": { operator: true, marketplace: "receipts:write" },

  "POST /api/v1/datasets": { operator: true, platform: "datasets:write" },
  "GET /api/v1/datasets": { operator: true, platform: "datasets:read", marketplace: "datasets:read" },
  "GET /api/v1/datasets/{id}": { operator: true, platform: "datasets:read", marketplace: "datasets:read" },
  "GET /api/v1/datasets/{id}/provenance": { operator: true, platform: "datasets:read", marketplace: "datasets:read" },
  "GET /api/v1/datasets/{id}/draft": { operator: true, platform: "datasets:write" },
  "PUT /api/v1/datasets/{id}/draft": { operator: true, platform: "datasets:write" },
  "DELETE /api/v1/datasets/{id}/draft": { operator: true, platform: "datasets:write" },
  "POST /api/v1/datasets/{id}/publish": { operator: true, platform: "datasets:write" },
  "POST /api/v1/datasets/{id}/compact": { operator: true, platform: "datasets:write" },
  "POST /api/v1/datasets/{id}/suspend": { operator: true, platform: "datasets:write" },
  "POST /api/v1/datasets/{id}/resume": { operator: true, platform: "datasets:write" },
  "POST /api/v1/datasets/{id}/withdraw": { operator: true, platform: "datasets:write" },
  "POST /api/v1/datasets/{id}/offers": { operator: true, platform: "datasets:write" },
  "GET /api/v1/datasets/{id}/offers": { operator: true, platform: "datasets:write" },
  "GET /datasets/{id}/versions/{version}/items": {
    operator: true,
    platform: "datasets:read",
    marketplace: "datasets:read",
  },
  "GET /datasets/{id}/versions/{version}/consents": {
    operator: true,
    platform: "datasets:read",
    marketplace: "datasets:read",
  },

  "POST /api/v1/agreements": OPERATOR,
  "GET /api/v1/agreements": { operator: true, platform: "licenses:read", marketplace: "licenses:read" },
  "POST /api/v1/agreements/{name}/{version}/acceptances": { marketplace: "licenses:write" },
  "GET /api/v1/agreements/{name}/{version}/acceptances": {
    operator: true,
    platform: "licenses:read",
    marketplace: "licenses:read",
  },

  "POST /api/v1/datasets/{id}/licenses": { marketplace: "licenses:write" },
  "GET /api/v1/datasets/{id}/license-policy": { operator: true, platform: "licenses:read" },
  "PUT /api/v1/datasets/{id}/license-policy": { operator: true, platform: "licenses:approve" },
  "GET /api/v1/licenses": { operator: true, platform: "licenses:read", marketplace: "licenses:read" },
  "GET /api/v1/licenses/{id}": { operator: true, platform: "licenses:read", marketplace: "licenses:read" },
  "POST /api/v1/licenses/{id}/tokens": { marketplace: "licenses:write" },
  "POST /api/v1/licenses/{id}/renew": { marketplace: "licenses:write" },
  "POST /api/v1/licenses/{id}/revoke": {
    operator: true,
    platform: "licenses:approve",
    marketplace: "licenses:write",
  },
  "GET /api/v1/license-requests": { operator: true, platform: "licenses:read", marketplace: "licenses:read" },
  "GET /api/v1/license-requests/{id}": { operator: true, platform: "licenses:read", marketplace: "licenses:read" },
  "POST /api/v1/license-requests/{id}/approve": { operator: true, platform: "licenses:approve" },
  "POST /api/v1/license-requests/{id}/deny": { operator: true, platform: "licenses:approve" },

  "POST /api/v1/usage-receipts": { marketplace: "receipts:write" },
  "POST /api/v1/marketplaces/{id}/receipt-pulls": { operator: true, platform: "ledger:write" },
  "GET /api/v1/marketplaces/{id}/receipt-pulls": { operator: true, platform: "receipts:read" },
  "GET /api/v1/usage-receipts": {
    operator: true,
    platform: "receipts:read",
    marketplace: "receipts:read",
    creator: "own",
  },
  "GET /api/v1/usage-receipts/{id}": {
    operator: true,
    platform: "receipts:read",
    marketplace: "receipts:read",
    creator: "own",
  },

  "GET /api/v1/models": {
    operator: true,
    platform: "receipts:read",
    marketplace: "receipts:read",
    creator: "own",
  },
  "GET /api/v1/models/{fingerprint}": {
    operator: true,
    platform: "receipts:read",
    marketplace: "receipts:read",
    creator: "own",
  },
  "GET /api/v1/models/{fingerprint}/consents": { operator: true, platform: "receipts:read", creator: "own" },
  "GET /api/v1/model-findings": { operator: true, platform: "receipts:read", marketplace: "receipts:read" },

  "GET /api/v1/remediations": {
    operator: true,
    platform: "licenses:read",
    marketplace: "licenses:read",
    creator: "own",
  },
  "GET /api/v1/remediations/{id}": {
    operator: true,
    platform: "licenses:read",
    marketplace: "licenses:read",
    creator: "own",
  },
  "GET /api/v1/remediations/{id}/messages": {
    operator: true,
    platform: "licenses:read",
    marketplace: "licenses:read",
    creator: "own",
  },
  "POST /api/v1/remediations/{id}/messages": {
    operator: true,
    platform: "licenses:approve",
    marketplace: "licenses:write",
    creator: "own",
  },
  "POST /api/v1/remediations/{id}/offers": { marketplace: "licenses:write" },
  "POST /api/v1/remediations/{id}/offers/{offer_id}/withdraw": { marketplace: "licenses:write" },
  // Whether an offer is good enough is for its creator alone to say.
  "POST /api/v1/remediations/{id}/offers/{offer_id}/accept": { creator: "own" },
  "POST /api/v1/remediations/{id}/offers/{offer_id}/decline": { creator: "own" },
  "POST /api/v1/remediations/{id}/close": { operator: true, platform: "licenses:approve", creator: "own" },

  "GET /api/v1/ledger/accounts": {
    operator: true,
    platform: "ledger:read",
    marketplace: "ledger:read",
    creator: "own",
  },
  "GET /api/v1/ledger/accounts/{id}/entries": {
    operator: true,
    platform: "ledger:read",
    marketplace: "ledger:read",
    creator: "own",
  },
  "GET /api/v1/ledger/accounts/{id}/months": {
    operator: true,
    platform: "ledger:read",
    marketplace: "ledger:read",
    creator: "own",
  },
  "GET /api/v1/ledger/entries/{id}/explanation": {
    operator: true,
    platform: "ledger:read",
    marketplace: "ledger:read",
    creator: "own",
  },
  "GET /api/v1/ledger/transactions/{id}": {
    operator: true,
    platform: "ledger:read",
    marketplace: "ledger:read",
    creator: "own",
  },
  "POST /api/v1/ledger/transactions/{id}/reversal": { operator: true, platform: "ledger:write" },
  "GET /api/v1/ledger/periods": { operator: true, platform: "ledger:read", creator: "own" },
  "POST /api/v1/ledger/pools/{id}/{version}/split": { operator: true, platform: "ledger:write" },
  "POST /api/v1/ledger/periods/{period}/close": { operator: true, platform: "ledger:write" },
  "POST /api/v1/marketplaces/{id}/payments": { operator: true, platform: "ledger:write" },

  "GET /api/v1/invoices": { operator: true, platform: "ledger:read", marketplace: "ledger:read" },
  "GET /api/v1/invoices/{id}": { operator: true, platform: "ledger:read", marketplace: "ledger:read" },
  "GET /api/v1/marketplaces/{id}/balance": { operator: true, platform: "ledger:read", marketplace: "ledger:read" },

  "GET /api/v1/creators/{id}/balance": { operator: true, platform: "payouts:read", creator: "own" },
  "GET /api/v1/creators/{id}/payouts": { operator: true, platform: "payouts:read", creator: "own" },
  "GET /api/v1/creators/{id}/payout-details": { operator: true, platform: "payouts:read", creator: "own" },
  "PUT /api/v1/creators/{id}/payout-details": { platform: "payouts:write", creator: "own" },
  "GET /api/v1/creators/{id}/statements/{period}": { operator: true, platform: "payouts:read", creator: "own" },
  "GET /api/v1/payout-batches": { operator: true, platform: "payouts:read" },
  "POST /api/v1/payout-batches": { operator: true, platform: "payouts:write" },
  "GET /api/v1/payout-batches/{id}": { operator: true, platform: "payouts:read" },
  "POST /api/v1/payout-batches/{id}/settlements": { operator: true, platform: "payouts:write" },
  "POST /webhooks/stripe": ANYONE,

  "GET /api/v1/analytics/usage": {
    operator: true,
    platform: "analytics:read",
    marketplace: "receipts:read",
    creator: "own",
  },
  "GET /api/v1/analytics/earnings": { operator: true, platform: "analytics:read", creator: "own" },
  "GET /api/v1/analytics/progress": { operator: true, platform: "analytics:read" },
  "GET /api/v1/analytics/check": OPERATOR,
  "POST /api/v1/analytics/rebuild": OPERATOR,

  "POST /api/v1/reconciliations": OPERATOR,
  "GET /api/v1/reconciliations": { operator: true, platform: "analytics:read" },
  "GET /api/v1/reconciliations/{id}": { operator: true, platform: "analytics:read" },
  "GET /api/v1/findings": { operator: true, platform: "analytics:read" },
  "POST /api/v1/findings/{id}/resolve": OPERATOR,

  "GET /api/v1/interactions": { operator: true, platform: "interactions:read" },
  "GET /api/v1/creators/{id}/interactions": { operator: true, platform: "interactions:read", creator: "own" },

  "POST /api/v1/edge-events": { platform: "edge:report" },

  "GET /api/v1/events": { operator: true, platform: "events:read", marketplace: "events:read", creator: "own" },
  "POST /api/v1/upstreams": OPERATOR,
  "GET /api/v1/upstreams": OPERATOR,
  "GET /api/v1/upstreams/{id}": OPERATOR,
  "POST /api/v1/upstreams/{id}/secret-rotations": OPERATOR,
  "POST /api/v1/upstreams/{id}/end": OPERATOR,
  "GET /api/v1/upstreams/{id}/works": { operator: true, platform: "content:read" },
  "POST /api/v1/upstreams/{id}/works": { operator: true, platform: "content:write" },
  "POST /api/v1/upstreams/{id}/works/removals": { operator: true, platform: "content:write" },
  "GET /api/v1/upstreams/{id}/events": OPERATOR,
  "POST /webhooks/consent-updated": ANYONE,

  "GET /api/v1/webhook-endpoints": { operator: true, marketplace: "webhooks:read" },
  "POST /api/v1/webhook-endpoints": { operator: true, marketplace: "webhooks:write" },
  "GET /api/v1/webhook-endpoints/{id}": { operator: true, marketplace: "webhooks:read" },
  "PATCH /api/v1/webhook-endpoints/{id}": { operator: true, marketplace: "webhooks:write" },
  "DELETE /api/v1/webhook-endpoints/{id}": { operator: true, marketplace: "webhooks:write" },
  "POST /api/v1/webhook-endpoints/{id}/disable": { operator: true, marketplace: "webhooks:write" },
  "POST /api/v1/webhook-endpoints/{id}/enable": { operator: true, marketplace: "webhooks:write" },
  "POST /api/v1/webhook-endpoints/{id}/secret-rotations": { operator: true, marketplace: "webhooks:write" },
  "POST /api/v1/webhook-endpoints/{id}/test": { operator: true, marketplace: "webhooks:write" },
  "POST /api/v1/webhook-endpoints/{id}/replays": { operator: true, marketplace: "webhooks:write" },

  "GET /api/v1/purges": OPERATOR,

  "GET /api/v1/webhook-deliveries": { operator: true, marketplace: "webhooks:read" },
  "GET /api/v1/webhook-deliveries/{id}": { operator: true, marketplace: "webhooks:read" },
  "POST /api/v1/webhook-deliveries/{id}/replays": { operator: true, marketplace: "webhooks:write" },
} as const satisfies Record<string, Rule>;

export type RouteName = keyof typeof AUTHORIZATION;

/** Refuses `unauthenticated` and `forbidden`. */
export function authorize(rule: Rule, principal: Principal): Result<Principal> {
  if (rule.anyone === true) return accept(principal);
  switch (principal.kind) {
    case "anonymous":
      return refuse("unauthenticated", "expected Authorization: Bearer with a token, got none");
    case "operator":
      return rule.operator === true ? accept(principal) : refuse("forbidden", "this is not for the operator");
    case "creator":
      return rule.creator === "own" ? accept(principal) : refuse("forbidden", "this is not for creators");
    case "upstream":
      return refuse("forbidden", "this is not for upstreams");
    case "platform":
      return authorizeClient(rule.platform, principal);
    case "marketplace":
      return authorizeClient(rule.marketplace, principal);
  }
}

function authorizeClient(
  scope: ClientScope | undefined,
  principal: Extract<Principal, { scopes: readonly string[] }>,
): Result<Principal> {
  if (scope === undefined) return refuse("forbidden", `this is not for ${principal.kind} clients`);
  return principal.scopes.includes(scope)
    ? accept(principal)
    : refuse("forbidden", `expected a token with the scope ${scope}, got ${principal.scopes.join(" ") || "none"}`);
}
