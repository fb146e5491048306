import {
  type Change,
  type JsonObject,
  type Result,
  type VerificationKey,
  canonicalBytes,
  canonicalize,
  clocksAt,
  compressStatusList,
  countersignReceipt,
  decodeBase64,
  documentSha256,
  formatInstant,
  itemLeafHash,
  keyEntry,
  parseJsonObject,
  problemOf,
  readUsageReceipt,
  refuse,
  signDocument,
  signStatusList,
  signWebhook,
  thumbprint,
  verifyUsageReceipt,
  webhookSecret,
  readBoundJwk,
  isJsonObject,
} from "@licet/protocol";
import { encodeHex } from "../hex.ts";
import type { Fetch } from "../send.ts";
import { currentContent, manifestContent, statusContent } from "./sample-documents.ts";
import {
  type SampleFacts,
  type SampleOptions,
  type SampleWork,
  isStanding,
  sampleFacts,
  stateOf,
} from "./sample-facts.ts";

/** A whole platform in memory: signs with real keys, answers over `fetch`, and lies when a test tells it to. */
export interface SamplePlatform {
  readonly facts: SampleFacts;
  readonly manifestUrl: string;
  readonly credentials: { readonly clientId: string; readonly clientSecret: string };
  readonly secret: string;
  readonly fetch: Fetch;
  readonly handle: (request: Request) => Promise<Response>;
  /** Changes a document before it is signed, by path. */
  readonly edits: Map<string, (content: JsonObject) => JsonObject>;
  /** Answers instead of the platform, by path. */
  readonly answers: Map<string, (request: Request) => Response | Promise<Response>>;
  /** Receipts by id, and how often a token was asked for. */
  readonly receipts: Map<string, JsonObject>;
  readonly counts: { tokens: number };
  /** The bodies of webhooks that the event feed holds; the positions count from 1. */
  readonly feed: JsonObject[];
  /** The body and headers of a webhook about the dataset, as it stands now. */
  readonly webhook: (message: SampleMessage) => { readonly body: string; readonly headers: Record<string, string> };
}

export interface SampleMessage {
  readonly change: Change;
  readonly sequence: number;
  readonly eventId?: string;
  readonly jti?: string;
  readonly contentId?: string;
  readonly sentAt?: number;
}

/** A client id and secret that need form-encoding before they are joined. */
const CREDENTIALS = { clientId: "client:one", clientSecret: "s cret+%" } as const;
const PAGE_LINES = 2;

export async function createSamplePlatform(options: SampleOptions): Promise<SamplePlatform> {
  const facts = await sampleFacts(options);
  const edits: SamplePlatform["edits"] = new Map();
  const answers: SamplePlatform["answers"] = new Map();
  const receipts = new Map<string, JsonObject>();
  const counts = { tokens: 0 };
  const feed: JsonObject[] = [];
  const receiptKeys = new Map<string, VerificationKey>();
  const secret = webhookSecret(new Uint8Array(32).fill(9));
  const state = { facts, edits, answers, receipts, counts, feed, receiptKeys, now: options.now };
  const handle = (request: Request): Promise<Response> => answer(state, request);
  return {
    facts,
    manifestUrl: `${facts.origin}/datasets/${facts.datasetId}/manifest.json`,
    credentials: CREDENTIALS,
    secret,
    edits,
    answers,
    receipts,
    counts,
    feed,
    handle,
    fetch: (url, init) => handle(new Request(url, init)),
    webhook: (message) => webhookOf(facts, secret, { sentAt: options.now(), ...message }),
  };
}

interface SampleState extends Pick<SamplePlatform, "facts" | "edits" | "answers" | "receipts" | "counts" | "feed"> {
  readonly receiptKeys: Map<string, VerificationKey>;
  readonly now: () => number;
}

async function answer(state: SampleState, request: Request): Promise<Response> {
  const { pathname } = new URL(request.url);
  const special = state.answers.get(pathname);
  if (special !== undefined) return special(request);
  const document = await publicDocument(state, pathname);
  if (document !== undefined) return typeof document === "string" ? new Response(document) : Response.json(document);
  const work = state.facts.works.find(({ item }) => new URL(String(item["canonical_url"])).pathname === pathname);
  if (work !== undefined) return new Response(work.bytes);
  if (pathname === "/oauth/token") return tokenAnswer(state, request);
  if (request.headers.get("authorization") !== `Bearer token-${state.counts.tokens}`)
    return problem(state, refuse("token_invalid", "expected the newest token"));
  return protectedAnswer(state, request, pathname);
}

function problem({ facts }: SampleState, refused: Result<unknown>): Response {
  if (refused.ok) throw new TypeError("expected a refusal");
  const body = problemOf(refused.refusal, facts.origin);
  return Response.json(body, { status: body.status, headers: { "content-type": "application/problem+json" } });
}

async function publicDocument(state: SampleState, path: string): Promise<JsonObject | string | undefined> {
  const { facts, now } = state;
  const sign = (type: Parameters<typeof signDocument>[0], content: JsonObject): Promise<JsonObject> =>
    signDocument(
      type,
      facts.origin,
      (state.edits.get(path) ?? ((same: JsonObject) => same))(content),
      facts.signers.document,
    );
  switch (path) {
    case "/.well-known/keys.json":
      return sign("key-set", { seq: facts.seq, keys: facts.keys.map(keyEntry), ...clocksAt(now()) });
    case `/datasets/${facts.datasetId}/versions/1/manifest.json`:
      return sign("manifest", manifestContent(facts));
    case `/datasets/${facts.datasetId}/manifest.json`:
      return sign("current-manifest", currentContent(facts, now()));
    case `/.well-known/dataset-status/${facts.datasetId}`:
      return sign("dataset-status", statusContent(facts, now()));
    case "/.well-known/consent-revocations.json":
      return sign("consent-revocations", {
        seq: facts.seq,
        revocations: facts.revocations,
        status_lists: [`${facts.origin}/status-lists/1`],
        ...clocksAt(now()),
      });
    case "/status-lists/1":
      return signStatusList(
        {
          uri: `${facts.origin}${path}`,
          iss: facts.origin,
          seq: facts.seq,
          iat: now(),
          lst: await compressStatusList(facts.bits, deflate),
        },
        facts.signers.document,
      );
    default:
      return undefined;
  }
}

async function deflate(bytes: Uint8Array<ArrayBuffer>): Promise<Uint8Array<ArrayBuffer>> {
  const compressed = new Blob([bytes]).stream().pipeThrough(new CompressionStream("deflate"));
  return new Uint8Array(await new Response(compressed).arrayBuffer());
}

async function tokenAnswer(state: SampleState, request: Request): Promise<Response> {
  const encoded = request.headers.get("authorization")?.replace("Basic ", "") ?? "";
  const [id, secret] = new TextDecoder()
    .decode(decodeBase64(encoded))
    .split(":")
    .map((part) => new URLSearchParams(`x=${part}`).get("x"));
  const form = new URLSearchParams(await request.text());
  if (
    id !== CREDENTIALS.clientId ||
    secret !== CREDENTIALS.clientSecret ||
    form.get("grant_type") !== "client_credentials"
  ) {
    return Response.json(
      { error: "invalid_client", error_description: "client authentication failed" },
      { status: 401 },
    );
  }
  state.counts.tokens += 1;
  return Response.json({
    access_token: `token-${state.counts.tokens}`,
    token_type: "Bearer",
    expires_in: 300,
    scope: form.get("scope"),
  });
}

async function protectedAnswer(state: SampleState, request: Request, path: string): Promise<Response> {
  const { facts } = state;
  const base = `/datasets/${facts.datasetId}/versions/1`;
  if (path === `${base}/items`)
    return linesAnswer(
      request,
      facts.works.map((work, position) => itemLine(facts, work, position)),
    );
  if (path === `${base}/consents`)
    return linesAnswer(
      request,
      facts.consents.map(({ jti, token, acceptance, key }, position) => ({
        position,
        jti,
        token,
        acceptance,
        ...(key === undefined ? {} : { key }),
      })),
    );
  if (path === "/api/v1/usage-receipts" && request.method === "POST") return receiptAnswer(state, await request.text());
  if (path === "/api/v1/usage-receipts") return Response.json({ receipts: [...state.receipts.values()], next: null });
  if (path === "/api/v1/events") return feedAnswer(state, request);
  if (path === "/api/v1/marketplaces/mkt_1/receipt-keys") return registerReceiptKey(state, await request.text());
  if (path === `/api/v1/datasets/${facts.datasetId}/licenses`) return licenseAnswer(state, await request.text());
  if (path === `/api/v1/datasets/${facts.datasetId}`)
    return Response.json({
      dataset_id: facts.datasetId,
      status: "published",
      version: 1,
      name: "A sample",
      state: stateOf(facts),
    });
  return problem(state, refuse("not_found", `nothing at ${path}`));
}

export function itemLine(facts: SampleFacts, work: SampleWork, position: number): JsonObject {
  if (isStanding(facts, work)) return { position, item: work.item, jti: work.jti };
  return { position, leaf_hash: encodeHex(itemLeafHash(work.item)), withdrawn: true };
}

/** Two lines for each page, so that a few works already have a next one. */
function linesAnswer(request: Request, lines: readonly JsonObject[]): Response {
  const url = new URL(request.url);
  const first = Number(url.searchParams.get("after") ?? "-1") + 1;
  const page = lines.slice(first, first + PAGE_LINES);
  const headers = new Headers({ "content-type": "application/x-ndjson" });
  if (first + PAGE_LINES < lines.length)
    headers.set("link", `<${url.pathname}?after=${first + PAGE_LINES - 1}>; rel="next"`);
  return new Response(page.map((line) => `${canonicalize(line)}\n`).join(""), { headers });
}

function feedAnswer({ feed, now }: SampleState, request: Request): Response {
  const first = Number(new URL(request.url).searchParams.get("after") ?? "0");
  const upTo = Math.min(first + PAGE_LINES, feed.length);
  const at = formatInstant(now());
  const events = feed.slice(first, upTo).map((webhook, index) => ({ position: `${first + index + 1}`, at, webhook }));
  return Response.json({ events, next: upTo < feed.length ? `${upTo}` : null, up_to: `${upTo}` });
}

async function receiptAnswer(state: SampleState, body: string): Promise<Response> {
  const document = parseJsonObject(body);
  if (!document.ok) return problem(state, document);
  const receipt = readUsageReceipt(document.value);
  if (!receipt.ok) return problem(state, receipt);
  const key = state.receiptKeys.get(receipt.value.key_id);
  const verified = await verifyUsageReceipt(document.value, receipt.value, key, state.now());
  if (!verified.ok) return problem(state, verified);
  const known = state.receipts.get(receipt.value.receipt_id);
  if (known !== undefined) return Response.json(known);
  const countersignature = await countersignReceipt(
    document.value,
    state.facts.origin,
    { acceptedAt: formatInstant(state.now()), flags: [] },
    state.facts.signers.receipt,
  );
  const kept: JsonObject = { ...document.value, countersignature: { ...countersignature } };
  state.receipts.set(receipt.value.receipt_id, kept);
  return Response.json(kept, { status: 201 });
}

/** One license for each model, for whatever is asked: this platform has no policy, and no agreement. */
function licenseAnswer({ facts, now }: SampleState, body: string): Response {
  const parsed = parseJsonObject(body);
  const { model = {}, scope = [] } = parsed.ok ? parsed.value : {};
  const fingerprint = isJsonObject(model) ? String(model["fingerprint"]) : "";
  return Response.json(
    {
      license_id: `lic_${fingerprint.slice(0, 26)}`,
      dataset_id: facts.datasetId,
      dataset_version: 1,
      marketplace_id: "mkt_1",
      model,
      scope,
      price: "per-token:0.0001",
      currency: "USD",
      license: "paid_training:1.0",
      agreement: "marketplace:1.0",
      state: "active",
      issued_at: formatInstant(now()),
      expires_at: formatInstant(now() + 86_400),
      renewable: true,
      status: { status_list: { idx: 0, uri: `${facts.origin}/status-lists/1` } },
      units_reported: "0",
      charged_micros: "0",
      token: "e30.e30.AA",
      token_expires_at: formatInstant(now() + 900),
      audience: [facts.origin],
      audience_complete: true,
    },
    { status: 201 },
  );
}

function registerReceiptKey(state: SampleState, body: string): Response {
  const parsed = parseJsonObject(body);
  const jwk = parsed.ok ? parsed.value["jwk"] : undefined;
  const { kty, crv, x } = isJsonObject(jwk) ? jwk : {};
  if (kty !== "OKP" || crv !== "Ed25519" || typeof x !== "string")
    return problem(state, refuse("key_malformed", "expected an Ed25519 key"));
  const kid = thumbprint({ kty, crv, x });
  const bound = readBoundJwk({ kty, crv, x }, kid, "EdDSA");
  if (!bound.ok) return problem(state, bound);
  const key: VerificationKey = {
    kid,
    alg: "EdDSA",
    jwk: bound.value,
    not_before: formatInstant(state.facts.startedAt),
    not_after: formatInstant(state.facts.startedAt + 86_400),
  };
  state.receiptKeys.set(kid, key);
  const { jwk: _, ...shown } = key;
  return Response.json(shown, { status: 201 });
}

function webhookOf(
  facts: SampleFacts,
  secret: string,
  message: SampleMessage & { readonly sentAt: number },
): { body: string; headers: Record<string, string> } {
  const { change, sequence, eventId = `evt_${sequence}`, jti, contentId, sentAt } = message;
  const event: JsonObject = {
    dataset_id: facts.datasetId,
    change,
    event_id: eventId,
    endpoint_id: "whe_1",
    sequence,
    sent_at: formatInstant(sentAt),
    dataset: {
      status: stateOf(facts),
      current_version: 1,
      min_valid_version: 1,
      manifest_sha256: documentSha256(manifestContent(facts)),
    },
    ...(jti === undefined ? {} : { jti, revoked_at: formatInstant(facts.startedAt) }),
    ...(contentId === undefined ? {} : { content_id: contentId }),
  };
  const body = new TextDecoder().decode(canonicalBytes(event));
  return {
    body,
    headers: { "content-type": "application/json", ...signWebhook({ id: eventId, timestamp: sentAt, body }, secret) },
  };
}

export { ANA, BRAM, revoke, withdraw } from "./sample-facts.ts";
