import { type JsonObject, isJsonObject, parseJson } from "@licet/protocol";
import { IncomingMessage } from "node:http";
import type { KoaContextWithOIDC } from "oidc-provider";
import type Provider from "oidc-provider";
import type { Context } from "../../context.ts";
import { sharePeer } from "../peer.ts";
import type { Principal } from "../principal.ts";
import { errors } from "./library.ts";
import { findClient } from "./store.ts";

/** The three endpoints of RSL's Open License Protocol (RSL 1.0 section 5), under the `server` that our documents name. */
const ENDPOINTS = { "/olp/token": "token", "/olp/introspect": "introspect", "/olp/key": "key" } as const;
export type OlpEndpoint = (typeof ENDPOINTS)[keyof typeof ENDPOINTS];

/** What a client may say at each; the OAuth server drops the rest. */
const PARAMETERS: Readonly<Record<OlpEndpoint, readonly string[]>> = {
  token: ["license", "license_type", "resource", "model_id", "model_fingerprint", "base_fingerprint"],
  introspect: ["token", "token_type_hint", "resource"],
  key: ["token", "resource"],
};

/** Grants that OLP's clients name: 1.0 and the drafts of 2025. */
const TOKEN_GRANTS: readonly string[] = ["client_credentials", "rsl"];
const MAX_BODY_BYTES = 56 * 1_024;
const FORM = "application/x-www-form-urlencoded";

/** A call whose client has shown who it is. */
export interface OlpCall {
  readonly endpoint: OlpEndpoint;
  readonly parameters: Readonly<Record<string, string | undefined>>;
}

export interface OlpAnswer {
  readonly status: number;
  readonly body: JsonObject;
}

export type AnswerOlp = (principal: Principal, call: OlpCall) => Promise<OlpAnswer>;

export function olpEndpointOf(path: string): OlpEndpoint | undefined {
  return Object.entries(ENDPOINTS).find(([known]) => known === path)?.[1];
}

/** How a call is named inside the OAuth server: as a grant of its own, so that its clients show who they are like any other. */
function grantOf(endpoint: OlpEndpoint): string {
  return `urn:licet:olp:${endpoint}`;
}

export const OLP_GRANTS: readonly string[] = Object.values(ENDPOINTS).map(grantOf);

/** Requests that stand in for a call of OLP, and those of them that were answered by it. */
const standIns = new WeakMap<IncomingMessage, { readonly endpoint: OlpEndpoint; readonly request: IncomingMessage }>();
const answered = new WeakSet<IncomingMessage>();

/** The request for a token that another one stands in for; any other is its own. */
export function requestBehind(request: IncomingMessage): IncomingMessage {
  const known = standIns.get(request);
  return known?.endpoint === "token" ? known.request : request;
}

/** True for a request whose client had shown who it is, whatever it was answered then. */
export function wasAnswered(request: IncomingMessage): boolean {
  return answered.has(request);
}

/** Has the OAuth server answer the grants that stand for OLP, which nobody else can ask for. */
export function registerOlpGrants(ctx: Context, provider: Provider, answerOlp: AnswerOlp): void {
  for (const endpoint of Object.values(ENDPOINTS))
    provider.registerGrantType(grantOf(endpoint), (koa) => answer(ctx, koa, { endpoint, answerOlp }), [
      ...PARAMETERS[endpoint],
    ]);
}

async function answer(
  ctx: Context,
  koa: KoaContextWithOIDC,
  { endpoint, answerOlp }: { readonly endpoint: OlpEndpoint; readonly answerOlp: AnswerOlp },
): Promise<void> {
  const principal = await principalOf(ctx, koa.oidc.client?.clientId);
  if (standIns.get(koa.req)?.endpoint !== endpoint || principal === undefined) throw new errors.UnsupportedGrantType();
  const given = Object.entries(koa.oidc.params ?? {});
  const parameters = Object.fromEntries(
    given.flatMap(([name, value]) => (typeof value === "string" && value !== "" ? [[name, value]] : [])),
  );
  const { status, body } = await answerOlp(principal, { endpoint, parameters });
  answered.add(koa.req);
  koa.status = status;
  koa.body = body;
}

async function principalOf(ctx: Context, clientId: string | undefined): Promise<Principal | undefined> {
  const client = clientId === undefined ? undefined : await findClient(ctx.db, clientId);
  if (client === undefined) return undefined;
  const known = { clientId: client.client_id, scopes: client.scope.split(" ") };
  if (client.kind === "platform") return { kind: "platform", ...known };
  return client.marketplace_id === null
    ? undefined
    : { kind: "marketplace", marketplaceId: client.marketplace_id, ...known };
}

/**
 * The request to the OAuth server that stands in for a call of OLP; undefined when the body is none that
 * is read here. Forms and JSON are taken (section 5.2), at most 56 KiB.
 */
export async function standInFor(
  request: IncomingMessage,
  endpoint: OlpEndpoint,
): Promise<IncomingMessage | undefined> {
  const form = await readForm(request);
  if (form === undefined) return undefined;
  const grant = form.get("grant_type");
  if (endpoint !== "token" || TOKEN_GRANTS.includes(grant ?? "")) form.set("grant_type", grantOf(endpoint));
  else if (grant !== null && OLP_GRANTS.includes(grant)) form.set("grant_type", "unknown");
  const bytes = Buffer.from(form.toString());
  const standIn = new IncomingMessage(request.socket);
  const { "transfer-encoding": _chunked, ...headers } = request.headers;
  standIn.method = "POST";
  standIn.headers = { ...headers, "content-type": FORM, "content-length": String(bytes.length) };
  standIn.complete = true;
  standIn.push(bytes);
  standIn.push(null);
  sharePeer(request, standIn);
  standIns.set(standIn, { endpoint, request });
  return standIn;
}

async function readForm(request: IncomingMessage): Promise<URLSearchParams | undefined> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of request) {
    const bytes = Buffer.from(chunk);
    length += bytes.length;
    if (length > MAX_BODY_BYTES) return undefined;
    chunks.push(bytes);
  }
  const text = Buffer.concat(chunks).toString("utf8");
  const type = (request.headers["content-type"] ?? FORM).split(";", 1)[0]?.trim().toLowerCase();
  if (type === FORM) return new URLSearchParams(text);
  return type === "application/json" ? readJsonForm(text) : undefined;
}

function readJsonForm(text: string): URLSearchParams | undefined {
  const parsed = parseJson(text);
  if (!parsed.ok || !isJsonObject(parsed.value)) return undefined;
  const entries = Object.entries(parsed.value);
  const texts = entries.flatMap(([name, value]): [string, string][] =>
    typeof value === "string" ? [[name, value]] : [],
  );
  return texts.length === entries.length ? new URLSearchParams(texts) : undefined;
}
