import {
  type AccessDecision,
  type ContentFact,
  type EdgeRefresh,
  type Refusal,
  type Result,
  accept,
  cacheTags,
  decideAccess,
  formatInstant,
  normaliseContentUrl,
  refuse,
  sha256Hex,
  verifyEdgeRefresh,
} from "@licet/protocol";
import { refusalResponse } from "./answers.ts";
import type { EdgeConfig, Route } from "./config.ts";
import {
  type DocumentReader,
  KEY_REFUSALS,
  type ReaderMemory,
  createDocumentReader,
  createReaderMemory,
} from "./documents.ts";
import { type Gathered, accessFacts, gatherFacts } from "./gather-facts.ts";
import { type Identity, identify } from "./identify.ts";
import { type DirectoryMemory, createDirectoryMemory, createKeyFinder } from "./key-directory.ts";
import { createLimitedMap } from "./memory.ts";
import type { EdgePorts, EdgeRequest } from "./ports.ts";
import { type EdgeEvent, type ReportMemory, createEventReports, createReportMemory } from "./report-events.ts";
import { licenseUrlOf, openAt, rightsHeaders } from "./rights-policy.ts";
import { routeOf } from "./routes.ts";

/** What becomes of a request: an answer in place of the site's, or the site's with some headers more. */
export type Verdict =
  | { readonly kind: "answer"; readonly response: Response }
  | {
      readonly kind: "pass";
      /** Headers of the request that are for the edge and not for the site. */
      readonly removeFromRequest: readonly string[];
      /** Headers that replace the site's of the same name; `link` stands beside them. */
      readonly addToResponse: readonly (readonly [string, string])[];
      /** How long what stays open may stay so, where it was let through by facts that are fresh for so long. */
      readonly holdsMs: number | undefined;
    };

export interface Edge {
  readonly decide: (request: EdgeRequest) => Promise<Verdict>;
  /** Takes a signed refresh (`POST /.well-known/licet-refresh`) and answers it once its documents are here. */
  readonly refresh: (body: string) => Promise<Response>;
  /** True while events wait to be sent. */
  readonly hasEvents: () => boolean;
  readonly flush: () => Promise<void>;
}

export type Pass = Extract<Verdict, { readonly kind: "pass" }>;

const PLAIN_PASS: Pass = { kind: "pass", removeFromRequest: [], addToResponse: [], holdsMs: undefined };
/** Whoever shows nothing runs through no code that could fail. */
const FAULT: Refusal = { code: "facts_unavailable", detail: "the edge failed" };
const NOTHING_GATHERED: Gathered = {
  refused: undefined,
  license: undefined,
  claims: undefined,
  content: { state: "missing", detail: "nobody was asked" },
  contentId: undefined,
};

/** What may outlive a request. On Node an edge lives as long as its process; on Workers one is made for each request. */
export interface EdgeMemory {
  readonly reader: ReaderMemory;
  readonly reports: ReportMemory;
  readonly directories: DirectoryMemory;
}

export function createEdgeMemory(): EdgeMemory {
  return {
    reader: createReaderMemory(),
    reports: createReportMemory(),
    directories: createDirectoryMemory(),
  };
}

/** The decision in front of a site: who asks, what is known of what they ask for, one rule, one verdict. */
export function createEdge(config: EdgeConfig, ports: EdgePorts, memory: EdgeMemory = createEdgeMemory()): Edge {
  const documents = createDocumentReader({ ...config, timeoutMs: config.originTimeoutMs, ports }, memory.reader);
  const reports = createEventReports(config, ports, memory.reports);
  const parts = { config, ports, findKey: createKeyFinder(config, ports, memory.directories) };
  const passOf = ({ request, content, now }: Passing): Pass => {
    const open = openAt(config.policy, content, now);
    const addToResponse = rightsHeaders(open, licenseUrlOf(config, request.url));
    return { kind: "pass", removeFromRequest: [], addToResponse, holdsMs: undefined };
  };
  const decide = async (request: EdgeRequest, route: Route): Promise<Verdict> => {
    if (route.mode === "off") return PLAIN_PASS;
    const identity = await identify(request, parts);
    const now = Math.floor(ports.nowMs() / 1_000);
    const gather = (): Promise<Gathered> =>
      gatherFacts(documents, { url: request.url, identity, now, isFirstUse: ports.isFirstUse });
    if (!route.isForMachines && isPerson(identity)) {
      // Only where something is opened does it matter which work this is.
      const { content } = config.policy.length === 0 ? NOTHING_GATHERED : await soon(gather(), ports);
      return passOf({ request, content, now });
    }
    const gathered = identity.refused === undefined ? await gather() : NOTHING_GATHERED;
    const decision = decideAccess(accessFacts(gathered, identity, route.isForMachines), now);
    reports.add(eventOf({ request, route, identity, gathered, decision, now }));
    if (decision.kind === "refuse" && route.mode === "enforce")
      return { kind: "answer", response: refusalResponse(decision.refusal, config, request.url) };
    const holdsMs = route.mode === "enforce" ? config.ttlSeconds * 1_000 : undefined;
    const pass = { ...passOf({ request, content: gathered.content, now }), holdsMs };
    return identity.license === undefined ? pass : licensedPass(pass, gathered.contentId);
  };
  return {
    decide: async (request) => {
      const route = routeOf(request.url, config.routes);
      try {
        return await decide(request, route);
      } catch (error) {
        const message = error instanceof Error ? (error.stack ?? error.message) : String(error);
        ports.log({ level: "error", message });
        return route.mode === "observe"
          ? PLAIN_PASS
          : { kind: "answer", response: refusalResponse(FAULT, config, request.url) };
      }
    },
    refresh: createRefresh({ config, ports, documents }),
    hasEvents: reports.hasWaiting,
    flush: reports.flush,
  };
}

function isPerson({ refused, license, agent, purpose }: Identity): boolean {
  return refused === undefined && license === undefined && agent === undefined && purpose === undefined;
}

/** What one may have is not for a cache to give to others, one that does so all the same forgets it by its tags; and the license is not for the site to see. */
function licensedPass({ addToResponse, ...pass }: Pass, contentId: string | undefined): Pass {
  const tags = contentId === undefined ? [] : [cacheTags.contents, cacheTags.content(contentId)];
  return {
    ...pass,
    removeFromRequest: ["authorization", "dpop"],
    addToResponse: [...addToResponse, ["cache-control", "private"], ...tags.map((tag) => ["cache-tag", tag] as const)],
  };
}

interface Passing {
  readonly request: EdgeRequest;
  readonly content: ContentFact;
  readonly now: number;
}

/** A person's page waits this long, and no longer, for what may be said beside it. */
const PATIENCE_MS = 100;

async function soon(gathering: Promise<Gathered>, { defer }: EdgePorts): Promise<Gathered> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const patience = new Promise<Gathered>((resolve) => {
    timer = setTimeout(() => resolve(NOTHING_GATHERED), PATIENCE_MS);
  });
  const gathered = gathering.catch(() => NOTHING_GATHERED);
  defer(gathered);
  try {
    return await Promise.race([gathered, patience]);
  } finally {
    clearTimeout(timer);
  }
}

const MAX_AGENT_NAME = 200;

interface Decided {
  readonly request: EdgeRequest;
  readonly route: Route;
  readonly identity: Identity;
  readonly gathered: Gathered;
  readonly decision: AccessDecision;
  readonly now: number;
}

function eventOf({ request, route, identity, gathered, decision, now }: Decided): EdgeEvent {
  const { claims, contentId } = gathered;
  const normalised = normaliseContentUrl(request.url);
  const agent = identity.agent ?? { kind: "license" as const, name: claims?.sub ?? "unknown" };
  return {
    at: formatInstant(now),
    url_sha256: sha256Hex(normalised.ok ? normalised.value : request.url),
    ...(contentId === undefined ? {} : { content_id: contentId }),
    ...(claims === undefined ? {} : { dataset_id: claims.dataset_id, license_id: claims.jti, marketplace: claims.sub }),
    agent: { kind: agent.kind, name: agent.name.slice(0, MAX_AGENT_NAME) },
    decision: decision.kind,
    ...(decision.kind === "refuse" ? { code: decision.refusal.code } : {}),
    mode: route.mode === "observe" ? "observe" : "enforce",
  };
}

interface RefreshParts {
  readonly config: EdgeConfig;
  readonly ports: EdgePorts;
  readonly documents: DocumentReader;
}

/** Documents that an answer names at most. */
const MAX_TOLD = 50;
/** Refreshes that are known again when they are sent again, the newest. */
const MAX_KNOWN_REFRESHES = 10_000;

function createRefresh({ config, ports, documents }: RefreshParts): (body: string) => Promise<Response> {
  const taken = createLimitedMap<true>(MAX_KNOWN_REFRESHES);
  const verify = async (body: string): Promise<Result<EdgeRefresh>> => {
    const keys = await documents.keys();
    if (keys.state !== "known") return refuse("unavailable", "the platform's keys cannot be read");
    return verifyEdgeRefresh(body, { keys: keys.value, now: Math.floor(ports.nowMs() / 1_000) });
  };
  const take = async (body: string): Promise<Result<object>> => {
    let refresh = await verify(body);
    if (!refresh.ok && KEY_REFUSALS.includes(refresh.refusal.code)) {
      await documents.askForKeys();
      refresh = await verify(body);
    }
    if (!refresh.ok) return refresh;
    const { seq, documents: named } = refresh.value;
    if (taken.get(String(seq)) === true) return accept({ seq, refreshed: 0, known: true });
    const behind = await documents.refresh(named);
    if (behind.length > 0)
      return refuse(
        "unavailable",
        `${behind.length} of ${named.length} documents cannot be had with the seq they must have`,
        behind
          .slice(0, MAX_TOLD)
          .map((path) => ({ at: path, code: "unavailable" as const, detail: "not there, or older" })),
      );
    taken.set(String(seq), true);
    return accept({ seq, refreshed: named.length, known: false });
  };
  return async (body) => {
    const answer = await take(body);
    if (!answer.ok) return refusalResponse(answer.refusal, config);
    return Response.json(answer.value, { headers: { "cache-control": "no-store" } });
  };
}
