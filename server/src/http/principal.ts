/** Who is calling, as far as the credentials show. */
export type Principal =
  | { readonly kind: "anonymous" }
  | { readonly kind: "operator" }
  | { readonly kind: "platform"; readonly clientId: string; readonly scopes: readonly string[] }
  | {
      readonly kind: "marketplace";
      readonly clientId: string;
      readonly marketplaceId: string;
      readonly scopes: readonly string[];
    }
  | { readonly kind: "creator"; readonly creatorId: string }
  /** A platform whose works we carry, by the signature of its webhook. */
  | { readonly kind: "upstream"; readonly upstreamId: string };

/** How a principal is written in events: who did it, without secrets. */
export function actorOf(principal: Principal): string {
  switch (principal.kind) {
    case "creator":
      return `creator:${principal.creatorId}`;
    case "platform":
      return `platform:${principal.clientId}`;
    case "marketplace":
      return `marketplace:${principal.marketplaceId}`;
    case "upstream":
      return `upstream:${principal.upstreamId}`;
    default:
      return principal.kind;
  }
}

/** What is counted and remembered for a caller: each OAuth client by itself. */
export function callerKey(principal: Principal): string {
  return principal.kind === "marketplace" ? `marketplace:${principal.clientId}` : actorOf(principal);
}

/** True for callers that act for the platform as a whole. */
export function isPlatform(principal: Principal): boolean {
  return principal.kind === "operator" || principal.kind === "platform";
}
