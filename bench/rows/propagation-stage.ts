import { contentStatusPath, normaliseContentUrl } from "@licet/protocol";
import {
  type Creator,
  type RegisteredMarketplace,
  enrolCreator,
  expectStatus,
  giveConsent,
  offerDataset,
  publishDataset,
  registerMarketplace,
  registerWork,
  uniqueId,
} from "../../test/fixtures/actors.ts";
import { type Child, fileOf, startChild } from "../../test/fixtures/child-process.ts";
import { licenseDataset } from "../../test/fixtures/licenses.ts";
import { freePort } from "../free-port.ts";
import { inParallel } from "../in-parallel.ts";
import { type MeasuredPlatform, startMeasuredPlatform } from "../platform.ts";
import type { BenchSettings } from "../row.ts";
import { type WebhookReceiver, startWebhookReceiver } from "./propagation-webhooks.ts";

/** Where the edge runs, and what goes wrong in the run. */
export interface Variant {
  readonly host: "workerd" | "Node";
  readonly mishap: "none" | "purges" | "endpoints" | "restart";
}

export interface StageSize {
  /** Works to be taken back, each on a consent of its own. */
  readonly works: number;
  /** Marketplaces that are told, each by an endpoint of its own. */
  readonly endpoints: number;
  /** The edge's first clock; undefined leaves it as it is. */
  readonly ttlSeconds: number | undefined;
}

/** A work behind the edge, and the header that opens it. */
export interface LicensedWork {
  readonly path: string;
  readonly jti: string;
  readonly authorization: string;
}

/** A platform, a site, the edge between the site and the world, and marketplaces. */
export interface PropagationStage {
  readonly platform: MeasuredPlatform;
  readonly creator: Creator;
  readonly edge: string;
  /** Where the site behind the edge is. */
  readonly site: string;
  readonly works: readonly LicensedWork[];
  /** Works that nobody takes back. */
  readonly standing: readonly LicensedWork[];
  readonly receiver: WebhookReceiver;
  /** Endpoints that answer at once. */
  readonly prompt: number;
  readonly stop: () => Promise<void>;
}

/** Where the world finds the works. */
export const SITE = "https://works.example";
const PAGE = Buffer.from("<!doctype html><title>A work</title><p>Words.").toString("base64");
const WORKS_PER_DATASET = 50;
const STANDING = 20;
const AT_ONCE = 4;
const OFFERS_AT_ONCE = 8;
const STATUS_PATIENCE_MS = 120_000;
const STATUS_POLL_MS = 200;
const STOP_PATIENCE_MS = 30_000;

export async function openStage(settings: BenchSettings, variant: Variant, size: StageSize): Promise<PropagationStage> {
  const started: (() => Promise<void>)[] = [];
  const keep = <T extends { readonly stop: () => Promise<void> }>(thing: T): T => {
    started.unshift(thing.stop);
    return thing;
  };
  const stop = async (): Promise<void> => {
    for (const end of started.splice(0)) await end();
  };
  try {
    const port = await freePort();
    const origin = `http://127.0.0.1:${port}`;
    const site = keep(await startProgram<{ readonly origin: string }>("bench/baselines/same-bytes.ts", {}, [PAGE]));
    const receiver = keep(await startWebhookReceiver());
    const deadHost = `127.0.0.1:${await freePort()}`;
    const edge = await startEdge(variant, {
      origin,
      upstream: site.ready.origin,
      ttlSeconds: size.ttlSeconds,
      deadHost,
    });
    keep(edge);
    const platform = keep(
      await startMeasuredPlatform(settings, {
        LICET_PORT: String(port),
        LICET_ORIGIN: origin,
        LICET_ALLOW_HOSTS: `${receiver.host},${deadHost}`,
        ...edge.serverSettings,
      }),
    );
    const marketplaces = await registerEndpoints(platform, receiver, { deadHost, size, variant });
    const filled = await fill(platform, marketplaces, size);
    const prompt = variant.mishap === "endpoints" ? size.endpoints - 2 : size.endpoints;
    return { platform, edge: edge.origin, site: site.ready.origin, receiver, prompt, stop, ...filled };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** A program that is ended for certain: what does not end when it is asked to is killed. */
async function startProgram<R>(
  program: string,
  env: Readonly<Record<string, string>>,
  args: readonly string[] = [],
): Promise<Child<R>> {
  const child = await startChild<R>(fileOf(program), env, args);
  return {
    ...child,
    stop: async () => {
      const kill = setTimeout(() => void child.kill(), STOP_PATIENCE_MS);
      await child.stop();
      clearTimeout(kill);
    },
  };
}

interface EdgePlace {
  readonly origin: string;
  readonly upstream: string;
  readonly ttlSeconds: number | undefined;
  readonly deadHost: string;
}

interface StartedEdge {
  readonly origin: string;
  /** How the server tells it what was taken back. */
  readonly serverSettings: Readonly<Record<string, string>>;
  readonly stop: () => Promise<void>;
}

async function startEdge({ host, mishap }: Variant, place: EdgePlace): Promise<StartedEdge> {
  const settings = {
    LICET_ORIGIN: place.origin,
    LICET_EDGE_UPSTREAM: place.upstream,
    LICET_EDGE_SITE: SITE,
    ...(place.ttlSeconds === undefined ? {} : { LICET_EDGE_TTL_SECONDS: String(place.ttlSeconds) }),
  };
  if (host === "Node") {
    const edge = await startProgram<{ readonly origin: string }>("edge/src/main.ts", {
      ...settings,
      LICET_EDGE_PORT: "0",
      LICET_EXIT_WITH_PARENT: "1",
    });
    const told = mishap === "purges" ? `http://${place.deadHost}` : edge.ready.origin;
    return { origin: edge.ready.origin, serverSettings: { LICET_EDGES: told }, stop: edge.stop };
  }
  const zone = await startProgram<Readonly<Record<"origin" | "api" | "token" | "zone" | "domain", string>>>(
    "examples/cloudflare/src/main.ts",
    {
      ...settings,
      CLOUDFLARE_SITE: SITE,
      CLOUDFLARE_EXIT_WITH_PARENT: "1",
      ...(mishap === "purges" ? { CLOUDFLARE_PURGE_DOWN: "1" } : {}),
    },
  );
  const { api, token, zone: id, domain } = zone.ready;
  return {
    origin: zone.ready.origin,
    serverSettings: {
      LICET_PURGES: `cloudflare:${id}@${domain}`,
      LICET_CLOUDFLARE_TOKEN: token,
      LICET_CLOUDFLARE_API: api,
      LICET_CLOUDFLARE_PLAN: "enterprise",
    },
    stop: zone.stop,
  };
}

interface EndpointPlan {
  readonly deadHost: string;
  readonly size: StageSize;
  readonly variant: Variant;
}

/** The licensee and others, each with one endpoint; of many one is dead and one is slow. */
async function registerEndpoints(
  platform: MeasuredPlatform,
  receiver: WebhookReceiver,
  { deadHost, size, variant }: EndpointPlan,
): Promise<readonly [RegisteredMarketplace, ...RegisteredMarketplace[]]> {
  const base_url = `http://${receiver.host}`;
  const licensee = await registerMarketplace(platform, { base_url, webhook_url: receiver.urlOf(0) });
  const urls = Array.from({ length: size.endpoints - 1 }, (_, index) => receiver.urlOf(index + 1));
  if (variant.mishap === "endpoints") urls.splice(0, 2, `http://${deadHost}/dead`, receiver.slowUrl);
  const others: RegisteredMarketplace[] = [];
  await inParallel(urls.length, AT_ONCE, async (index) => {
    others.push(await registerMarketplace(platform, { base_url, webhook_url: urls[index] ?? "" }));
  });
  return [licensee, ...others];
}

type Filled = Pick<PropagationStage, "creator" | "works" | "standing">;

interface UnlicensedWork {
  readonly contentId: string;
  readonly path: string;
  readonly jti: string;
}

/** Works each on its own consent, in as few datasets as hold them, licensed to the first marketplace and offered to all. */
async function fill(
  platform: MeasuredPlatform,
  marketplaces: readonly [RegisteredMarketplace, ...RegisteredMarketplace[]],
  size: StageSize,
): Promise<Filled> {
  const creator = await enrolCreator(platform);
  const made: UnlicensedWork[] = [];
  await inParallel(size.works + Math.min(STANDING, size.works), AT_ONCE, async () => {
    const path = `/${uniqueId("work-")}`;
    const contentId = await registerWork(platform, creator.creatorId, { canonical_url: SITE + path });
    made.push({ contentId, path, jti: (await giveConsent(creator, { subject: `content:${contentId}` })).jti });
  });
  // So many endpoints are offered one dataset alone.
  const datasets = marketplaces.length > 1 ? 1 : Math.ceil(size.works / WORKS_PER_DATASET);
  const licensed: LicensedWork[] = [];
  for (let at = 0; at < datasets; at += 1) {
    const works = made.filter((_, index) => index % datasets === at);
    const authorization = `License ${await licenseOf(platform, marketplaces, works)}`;
    licensed.push(...works.map(({ path, jti }) => ({ path, jti, authorization })));
  }
  await untilPublished(platform, licensed);
  const inTurns = made.flatMap(({ jti }) => licensed.filter((work) => work.jti === jti));
  return { creator, works: inTurns.slice(0, size.works), standing: inTurns.slice(size.works) };
}

/** A plain bearer token: it lives for 15 minutes, which is longer than any run. */
async function licenseOf(
  platform: MeasuredPlatform,
  [licensee, ...others]: readonly [RegisteredMarketplace, ...RegisteredMarketplace[]],
  works: readonly UnlicensedWork[],
): Promise<string> {
  const contentIds = works.map(({ contentId }) => contentId);
  const { dataset_id } = await publishDataset(platform, contentIds, { name: uniqueId("Collection ") });
  await offerDataset(platform, dataset_id, licensee);
  await inParallel(others.length, OFFERS_AT_ONCE, async (index) => {
    const other = others[index];
    if (other !== undefined) await offerDataset(platform, dataset_id, other);
  });
  return (await licenseDataset(platform, dataset_id, licensee, { jkt: null })).token;
}

/** Content statuses are rendered a moment after the publication; an edge that asks before remembers that there is none. */
async function untilPublished({ anonymous }: MeasuredPlatform, works: readonly LicensedWork[]): Promise<void> {
  const until = Date.now() + STATUS_PATIENCE_MS;
  await inParallel(works.length, AT_ONCE, async (index) => {
    const url = normaliseContentUrl(`${SITE}${works[index]?.path ?? ""}`);
    if (!url.ok) throw new Error(url.refusal.detail);
    for (;;) {
      const answer = await anonymous.get(contentStatusPath(url.value));
      if (answer.status === 200) return;
      if (Date.now() > until) expectStatus(answer, 200);
      await new Promise((resolve) => setTimeout(resolve, STATUS_POLL_MS));
    }
  });
}
