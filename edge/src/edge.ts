import {
  type AccessDecision,
  type EdgeRefresh,
  type Refusal,
  type Result,
  accept,
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
import { createKeyFinder } from "./key-directory.ts";
import { type LimitedMap, createLimitedMap } from "./memory.ts";
import type { EdgePorts, EdgeRequest } from "./ports.ts";
import { type EdgeEvent, type ReportMemory, createEventReports, createReportMemory } from "./report-events.ts";
import { rightsHeaders } from "./rights-policy.ts";
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
    };

export interface Edge {
  readonly decide: (request: EdgeRequest) => Promise<Verdict>;
  /** Takes a signed refresh (`POST /.well-known/licet-refresh`) and answers it once its documents are here. */
  readonly refresh: (body: string) => Promise<Response>;
  /** True while events wait to be sent. */
  readonly hasEvents: () => boolean;
  readonly flush: () => Promise<void>;
}

const PLAIN_PASS: Verdict = { kind: "pass", removeFromRequest: [], addToResponse: [] };
/** Whoever shows nothing runs through no code that could fail. */
const FAULT: Refusal = { code: "facts_unavailable", detail: "the edge failed" };
const NOTHING_GATHERED: Gathered = {
  license: undefined,
  claims: undefined,
  content: { state: "missing", detail: "nobody was asked" },
  contentId: undefined,
};

/** What may outlive a request. On Node an edge lives as long as its process; on Workers one is made for each request. */
export interface EdgeMemory {
  readonly reader: ReaderMemory;
  readonly reports: ReportMemory;
  readonly directoriesTriedAtMs: LimitedMap<number>;
}

const MAX_DIRECTORIES = 10_000;

export function createEdgeMemory(): EdgeMemory {
  return {
    reader: createReaderMemory(),
    reports: createReportMemory(),
    directoriesTriedAtMs: createLimitedMap(MAX_DIRECTORIES),
  };
}

/** The decision in front of a site: who asks, what is known of what they ask for, one rule, one verdict. */
export function createEdge(config: EdgeConfig, ports: EdgePorts, memory: EdgeMemory = createEdgeMemory()): Edge {
  const documents = createDocumentReader({ ...config, timeoutMs: config.originTimeoutMs, ports }, memory.reader);
  const reports = createEventReports(config, ports, memory.reports);
  const parts = { config, ports, findKey: createKeyFinder(ports, memory.directoriesTriedAtMs) };
  const policy = rightsHeaders(config.policy, config.licenseUrl);
  const person: Verdict = { kind: "pass", removeFromRequest: [], addToResponse: policy };
  const decide = async (request: EdgeRequest): Promise<Verdict> => {
    const route = routeOf(request.url, config.routes);
    if (route.mode === "off") return PLAIN_PASS;
    const identity = await identify(request, parts);
    if (!route.isForMachines && isPerson(identity)) return person;
    const now = Math.floor(ports.nowMs() / 1_000);
    const gathered =
      identity.refused === undefined
        ? await gatherFacts(documents, { url: request.url, identity, now })
        : NOTHING_GATHERED;
    const decision = decideAccess(accessFacts(gathered, identity, route.isForMachines), now);
    reports.add(eventOf({ request, route, identity, gathered, decision, now }));
    if (decision.kind === "refuse" && route.mode === "enforce")
      return { kind: "answer", response: refusalResponse(decision.refusal, config) };
    return identity.license === undefined ? person : licensedPass(policy);
  };
  return {
    decide: async (request) => {
      try {
        return await decide(request);
      } catch (error) {
        const message = error instanceof Error ? (error.stack ?? error.message) : String(error);
        ports.log({ level: "error", message });
        return { kind: "answer", response: refusalResponse(FAULT, config) };
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

/** What one may have is not for a cache to give to others, and the license not for the site to see. */
function licensedPass(policy: readonly (readonly [string, string])[]): Verdict {
  return {
    kind: "pass",
    removeFromRequest: ["authorization", "dpop"],
    addToResponse: [...policy, ["cache-control", "private"]],
  };
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
