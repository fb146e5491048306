import { OpenAPIHono } from "@hono/zod-openapi";
import { type Refusal, refuse } from "@licet/protocol";
import type { MiddlewareHandler } from "hono";
import { HTTPException } from "hono/http-exception";
import { addAgreementRoutes } from "./agreements/routes.ts";
import { addAnalyticsRoutes } from "./analytics/routes.ts";
import { addBackupRoutes } from "./backups/routes.ts";
import { addConsentRoutes } from "./consents/routes.ts";
import { addContentRoutes } from "./content/routes.ts";
import type { Context } from "./context.ts";
import { addCreatorRoutes } from "./creators/routes.ts";
import { addDatasetRoutes } from "./datasets/routes.ts";
import { isDatabaseAway } from "./db/is-away.ts";
import { addEdgeRoutes } from "./edges/routes.ts";
import { addFeedRoutes } from "./feed/routes.ts";
import type { WaitingReaders } from "./feed/waiting-readers.ts";
import { allowedMethods } from "./http/allowed-methods.ts";
import { type Api, type ApiContext, type ApiEnv, RefusedRequest, sendProblem } from "./http/api.ts";
import { authenticate } from "./http/authentication.ts";
import { addClientRoutes } from "./http/oauth/client-routes.ts";
import type { OauthServer } from "./http/oauth/provider.ts";
import { addResourceMetadata } from "./http/oauth/resource-metadata.ts";
import { addSessionRoutes } from "./http/oauth/session-routes.ts";
import { limitRate, refuseTooMany } from "./http/rate-limits.ts";
import { logRequest } from "./http/request-log.ts";
import { openApiInfo } from "./http/openapi-info.ts";
import { addMetricsRoute } from "./http/metrics-routes.ts";
import { addSystemRoutes } from "./http/system-routes.ts";
import { recordInteractions } from "./interactions/record-interactions.ts";
import type { InteractionLog } from "./interactions/interaction-log.ts";
import { addInteractionRoutes } from "./interactions/routes.ts";
import { addInvoiceRoutes } from "./invoices/routes.ts";
import { addKeyRoutes } from "./keys/routes.ts";
import { addLedgerRoutes } from "./ledger/routes.ts";
import { addLicenseRoutes } from "./licenses/routes.ts";
import { addMarketplaceRoutes } from "./marketplaces/routes.ts";
import { addCreatorPayoutRoutes } from "./payouts/creator-routes.ts";
import { addPropagationRoutes } from "./propagation/routes.ts";
import type { TimelineStreams } from "./propagation/timeline-streams.ts";
import { addPayoutRoutes } from "./payouts/routes.ts";
import { addPurgeRoutes } from "./purges/routes.ts";
import type { Purges } from "./purges/start-purges.ts";
import { addReconciliationRoutes } from "./reconciliation/routes.ts";
import { addModelRoutes } from "./models/routes.ts";
import { addReceiptKeyRoutes } from "./receipts/key-routes.ts";
import { addReceiptRoutes } from "./receipts/routes.ts";
import { addRemediationRoutes } from "./remediations/routes.ts";
import { addKeyRevocationRoutes } from "./revocations/key-routes.ts";
import { addRevocationRoutes } from "./revocations/routes.ts";
import { addSuspensionRoutes } from "./revocations/suspension-routes.ts";
import { addUpstreamRoutes } from "./upstreams/routes.ts";
import { addWebhookRoutes } from "./webhooks/routes.ts";

export interface AppParts {
  readonly oauth: OauthServer;
  readonly interactions: InteractionLog;
  readonly readers: WaitingReaders;
  readonly streams: TimelineStreams;
  readonly purges: Pick<Purges, "targets" | "failingSinceMs">;
  readonly isDraining: () => boolean;
}

/** The API: what every request goes through, then the routes of each slice. */
export function createApp(ctx: Context, { oauth, interactions, readers, streams, purges, isDraining }: AppParts): Api {
  const api: Api = new OpenAPIHono<ApiEnv>({
    defaultHook: (result, c) =>
      result.success ? undefined : sendProblem(c, ctx, invalidInput(result.target, result.error.issues)),
  });

  api.use(logRequest(ctx));
  api.use(recordInteractions(ctx, interactions));
  api.use(identifyCaller(ctx, oauth));

  addSystemRoutes(api, ctx, { isDraining, purgesFailingSinceMs: purges.failingSinceMs });
  addMetricsRoute(api, ctx);
  addResourceMetadata(api, ctx);
  addClientRoutes(api, ctx);
  addSessionRoutes(api, ctx);
  addKeyRoutes(api, ctx);
  addCreatorRoutes(api, ctx);
  addContentRoutes(api, ctx);
  addConsentRoutes(api, ctx);
  addMarketplaceRoutes(api, ctx);
  addDatasetRoutes(api, ctx);
  addLedgerRoutes(api, ctx);
  addAgreementRoutes(api, ctx);
  addLicenseRoutes(api, ctx);
  addReceiptRoutes(api, ctx);
  addReceiptKeyRoutes(api, ctx);
  addInvoiceRoutes(api, ctx);
  addPayoutRoutes(api, ctx);
  addCreatorPayoutRoutes(api, ctx);
  addModelRoutes(api, ctx);
  addRemediationRoutes(api, ctx);
  addRevocationRoutes(api, ctx);
  addSuspensionRoutes(api, ctx);
  addKeyRevocationRoutes(api, ctx);
  addUpstreamRoutes(api, ctx);
  addWebhookRoutes(api, ctx);
  addPurgeRoutes(api, ctx, purges);
  addPropagationRoutes(api, ctx, streams);
  addFeedRoutes(api, ctx, readers);
  addBackupRoutes(api, ctx);
  addInteractionRoutes(api, ctx, interactions);
  addEdgeRoutes(api, ctx);
  addAnalyticsRoutes(api, ctx);
  addReconciliationRoutes(api, ctx);

  api.openAPIRegistry.registerComponent("securitySchemes", "bearer", { type: "http", scheme: "bearer" });
  api.use("/openapi.json", limitRate(ctx, "GET /openapi.json"));
  api.doc31("/openapi.json", openApiInfo);
  api.notFound(async (c) => (await refuseTooMany(ctx, c)) ?? answerUnrouted(c, ctx));
  api.onError((error, c) => sendProblem(c, ctx, refusalOf(ctx, error, c.get("requestId"))));
  return api;
}

function identifyCaller(ctx: Context, oauth: OauthServer): MiddlewareHandler<ApiEnv> {
  return async (c, next) => {
    const principal = await authenticate(ctx, oauth, c.env.incoming);
    if (!principal.ok) {
      // It comes after a token and a proof that hold, so nobody else's requests may stand in its way.
      if (principal.refusal.code === "dpop_nonce_required")
        return sendProblem(c, ctx, principal.refusal, { "dpop-nonce": oauth.dpopNonce() });
      return (await refuseTooMany(ctx, c)) ?? sendProblem(c, ctx, principal.refusal);
    }
    c.set("principal", principal.value);
    await next();
    if (c.req.header("dpop") !== undefined) c.header("dpop-nonce", oauth.dpopNonce());
    return undefined;
  };
}

/** A path that takes other methods says which (RFC 9110 section 15.5.6); at any other there is nothing. */
function answerUnrouted(c: ApiContext, ctx: Context): Response {
  const { method, path } = c.req;
  const allow = allowedMethods(path).join(", ");
  if (allow === "") return sendProblem(c, ctx, refuse("not_found", `there is nothing at ${path}`).refusal);
  return sendProblem(c, ctx, refuse("method_not_allowed", `expected ${allow}, got ${method}`).refusal, { allow });
}

interface Issue {
  readonly path: readonly PropertyKey[];
  readonly message: string;
}

/** A list of a million wrong entries need not be answered in full. */
const MAX_OFFENCES = 100;
/** Offences that the detail repeats in words; the list has them all. */
const MAX_DETAILED = 5;

/** A path parameter that is no identifier has a code of its own; everything else is listed member by member. */
function invalidInput(target: string, issues: readonly Issue[]): Refusal {
  const code = target === "param" ? "identifier_invalid" : "input_invalid";
  const offences = issues
    .slice(0, MAX_OFFENCES)
    .map(
      ({ path, message }) =>
        ({ at: [target === "json" ? "body" : target, ...path.map(String)].join("."), code, detail: message }) as const,
    );
  const more = issues.length > MAX_DETAILED ? [`and ${issues.length - MAX_DETAILED} more`] : [];
  const detail = [
    ...offences.slice(0, MAX_DETAILED).map((offence) => `${offence.at}: ${offence.detail}`),
    ...more,
  ].join("; ");
  return { code, detail, offences };
}

function refusalOf(ctx: Context, error: Error, requestId: string): Refusal {
  if (error instanceof RefusedRequest) return error.refusal;
  if (error instanceof RangeError)
    return refuse("input_invalid", "expected fewer, or less deeply nested, values").refusal;
  if (error instanceof HTTPException && error.status < 500) return refuse("body_malformed", error.message).refusal;
  if (isDatabaseAway(error)) {
    ctx.log.error({ request_id: requestId, error: String(error) }, "the database is away");
    return refuse("unavailable", "the database does not answer or has no room").refusal;
  }
  ctx.log.error({ request_id: requestId, error: error.message, stack: error.stack }, "a request failed");
  return refuse("internal", "the server failed; the log has more under this request_id").refusal;
}
