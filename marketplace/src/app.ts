import { refuse } from "@licet/protocol";
import { Hono } from "hono";
import type { MarketplaceContext } from "./context.ts";
import { checkBearer, problem } from "./http-answers.ts";
import {
  type Handler,
  postDataset,
  postLicensePresentation,
  postTrainingRun,
  postVerification,
  postWebhook,
  putConnection,
  showConnection,
  showDataset,
  showDatasets,
  showHealth,
  showModels,
  showReceipts,
  showTrainingRuns,
} from "./routes.ts";

/** Whose bearer token opens a route. A webhook is its own credential: it is signed. */
type Caller = "anybody" | "marketplace" | "platform" | "both";

type Route = readonly [method: "GET" | "POST" | "PUT", path: string, caller: Caller, handler: Handler];

// prettier-ignore
const ROUTES: readonly Route[] = [
  ["GET",  "/healthz",                           "anybody",     showHealth],
  ["GET",  "/.well-known/models.json",           "anybody",     showModels],
  ["PUT",  "/api/v1/connection",                 "marketplace", putConnection],
  ["GET",  "/api/v1/connection",                 "marketplace", showConnection],
  ["POST", "/api/v1/datasets",                   "platform",    postDataset],
  ["GET",  "/api/v1/datasets",                   "marketplace", showDatasets],
  ["GET",  "/api/v1/datasets/:id",               "marketplace", showDataset],
  ["POST", "/api/v1/datasets/:id/verifications", "marketplace", postVerification],
  ["POST", "/api/v1/datasets/:id/training-runs", "marketplace", postTrainingRun],
  ["GET",  "/api/v1/datasets/:id/training-runs", "marketplace", showTrainingRuns],
  ["POST", "/api/v1/license-presentations",      "marketplace", postLicensePresentation],
  ["GET",  "/api/v1/usage-receipts",             "both",        showReceipts],
  ["POST", "/webhooks/consent-updated",          "anybody",     postWebhook],
];

/** The marketplace's HTTP surface: the table above, and a problem document for everything else. */
export function createApp(context: MarketplaceContext): Hono {
  const app = new Hono();
  for (const [method, path, caller, handler] of ROUTES) {
    app.on(method, path, async (http) => {
      const allowed = checkCaller(context, caller, http.req.raw);
      return allowed.ok ? handler(context, http) : problem(allowed.refusal, platformOrigin(context));
    });
  }
  for (const path of new Set(ROUTES.map(([, path]) => path))) {
    const methods = ROUTES.filter((route) => route[1] === path).map(([method]) => method);
    app.all(path, (http) => {
      const response = problem(
        { code: "method_not_allowed", detail: `expected ${methods.join(" or ")}, got ${http.req.method}` },
        platformOrigin(context),
      );
      response.headers.set("allow", methods.join(", "));
      return response;
    });
  }
  app.notFound((http) =>
    problem({ code: "not_found", detail: `nothing at ${http.req.path}` }, platformOrigin(context)),
  );
  app.onError((error) => {
    process.stderr.write(`${JSON.stringify({ level: "error", error: error.stack ?? error.message })}\n`);
    return problem({ code: "internal", detail: "the marketplace failed" }, platformOrigin(context));
  });
  return app;
}

function platformOrigin(context: MarketplaceContext): string | undefined {
  return context.connected?.connection.origin;
}

function checkCaller({ config }: MarketplaceContext, caller: Caller, request: Request): ReturnType<typeof checkBearer> {
  switch (caller) {
    case "anybody":
      return { ok: true, value: true };
    case "marketplace":
      return checkOne(request, [config.token], config.platformToken);
    case "platform":
      return checkOne(request, [config.platformToken], config.token);
    case "both":
      return checkBearer(request, [config.token, config.platformToken]);
  }
}

/** A token that opens other routes is told so, because the caller is known. */
function checkOne(request: Request, tokens: readonly string[], otherToken: string): ReturnType<typeof checkBearer> {
  const checked = checkBearer(request, tokens);
  const isOther = !checked.ok && checkBearer(request, [otherToken]).ok;
  return isOther ? refuse("forbidden", "expected the token of the other party on this route") : checked;
}
