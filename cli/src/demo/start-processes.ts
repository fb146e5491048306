import type { JsonObject, JsonValue } from "@licet/protocol";
import { randomBytes, randomInt } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { once } from "node:events";
import { createServer } from "node:net";
import { type Program, type ProgramOptions, readyText, startProgram } from "../child-process.ts";
import { CommandError, reasonOf } from "../command-error.ts";
import { serverEntry } from "../serve.ts";
import type { Environment } from "../settings.ts";
import type { Narrator } from "./narrate.ts";

/** The four programs of the story, and what opens their doors. */
export interface Stage {
  readonly platform: string;
  /** In front of the platform: the edge's Worker. */
  readonly edge: string;
  readonly marketplace: string;
  readonly origin: string;
  readonly operatorToken: string;
  readonly marketplaceToken: string;
  /** What the server shows when it calls the marketplace. */
  readonly platformToken: string;
  /** The marketplace's public key for receipts, as it printed it. */
  readonly receiptJwk: JsonValue;
}

/** What has been started so far, so that it can be stopped whatever happens. */
export interface Cast {
  readonly programs: Program[];
  readonly folder: string;
  readonly isKept: boolean;
}

const REPOSITORY = new URL("../../../", import.meta.url);
export const CATALOGUE = new URL("examples/catalogue/", REPOSITORY);
const MARKETPLACE_ENTRY = new URL("marketplace/src/main.ts", REPOSITORY).href;
const PLATFORM_ENTRY = new URL("examples/platform/src/main.ts", REPOSITORY).href;
const CLOUDFLARE_ENTRY = new URL("examples/cloudflare/src/main.ts", REPOSITORY).href;
const TOKEN_BYTES = 24;
const SESSION_HOURS = "12";

/** The story needs the sample catalogue, the platform and the marketplace, which no package carries. */
export function requireRepository(): void {
  if (!existsSync(CATALOGUE))
    throw new CommandError(
      "the demo plays with the sample catalogue in Licet's repository, which the package does not carry: clone it, then npm ci && npm run demo",
    );
}

/** A folder for the demo's data: a temporary one, or the one to keep. */
export async function gatherCast(keep: string | undefined, workingFolder: string): Promise<Cast> {
  if (keep === undefined) return { programs: [], folder: await mkdtemp(join(tmpdir(), "licet-demo-")), isKept: false };
  const folder = resolve(workingFolder, keep);
  try {
    await mkdir(folder, { recursive: true });
    const entries = await readdir(folder);
    if (entries.length > 0)
      throw new CommandError(`--keep: expected an empty or new folder, got ${keep} with ${entries.length} entries`);
  } catch (error) {
    throw error instanceof CommandError
      ? error
      : new CommandError(`--keep: expected a folder that can be written, got ${reasonOf(error)}`);
  }
  return { programs: [], folder, isKept: true };
}

type Start = (options: Omit<ProgramOptions, "errors">) => Promise<JsonObject>;

interface Starting {
  readonly start: Start;
  readonly environment: Environment;
  readonly folder: string;
  readonly narrator: Narrator;
}

/** Starts the platform, the edge in front of it, the marketplace and the server as processes of their own, on free ports. */
export async function startProcesses(cast: Cast, environment: Environment, narrator: Narrator): Promise<Stage> {
  const marketplaceToken = `demo_mkt_${randomBytes(TOKEN_BYTES).toString("base64url")}`;
  const platformToken = `demo_plt_${randomBytes(TOKEN_BYTES).toString("base64url")}`;
  const start: Start = (options) => {
    const program = startProgram({ ...options, errors: "keep" });
    cast.programs.push(program);
    return program.ready;
  };
  const starting = { start, environment, folder: cast.folder, narrator };
  const platform = await startPlatform(starting);
  // The edge reads what the server signs, and the server purges the edge: one of them has to know the other's address before it is there.
  const origin = `http://127.0.0.1:${await freePort()}`;
  const zone = startCloudflare(starting, { platform, origin });
  // A failure of the marketplace is told first; this one is then of no interest.
  zone.catch(() => undefined);
  const { marketplace, receiptJwk } = await startMarketplace(starting, { platform, marketplaceToken, platformToken });
  const cloudflare = await narrator.step(
    () => zone,
    ({ edge }) => `The edge, a Worker in the runtime that Cloudflare has, in front of the platform: at ${edge}.`,
  );
  const operatorToken = await startServer(starting, { origin, marketplace, cloudflare });
  const { edge } = cloudflare;
  return { platform, edge, marketplace, origin, operatorToken, marketplaceToken, platformToken, receiptJwk };
}

function startPlatform({ start, environment, narrator }: Starting): Promise<string> {
  const settings = { PLATFORM_EXIT_WITH_PARENT: "1" };
  return narrator.step(
    async () =>
      readyText(
        await start({ name: "the platform", entry: PLATFORM_ENTRY, environment: { ...environment, ...settings } }),
        "origin",
      ),
    (origin) => `A content platform: a site with the works of three creators, at ${origin}.`,
  );
}

/** What stands for Cloudflare: where its Worker answers, and how its cache is purged. */
interface Zone {
  readonly edge: string;
  readonly settings: Environment;
}

export const CRAWLER_PRICE = "USD 0.01";

async function startCloudflare(
  { start, environment }: Starting,
  { platform, origin }: { readonly platform: string; readonly origin: string },
): Promise<Zone> {
  const settings = {
    CLOUDFLARE_SITE: platform,
    CLOUDFLARE_EXIT_WITH_PARENT: "1",
    LICET_ORIGIN: origin,
    LICET_EDGE_UPSTREAM: platform,
    LICET_EDGE_CRAWLER_PRICE: CRAWLER_PRICE,
  };
  const ready = await start({
    name: "the edge",
    entry: CLOUDFLARE_ENTRY,
    environment: { ...environment, ...settings },
  });
  return {
    edge: readyText(ready, "origin"),
    settings: {
      LICET_PURGES: `cloudflare:${readyText(ready, "zone")}@${readyText(ready, "domain")}`,
      LICET_CLOUDFLARE_TOKEN: readyText(ready, "token"),
      LICET_CLOUDFLARE_API: readyText(ready, "api"),
      LICET_CLOUDFLARE_PLAN: "enterprise",
    },
  };
}

interface MarketplaceStart {
  readonly platform: string;
  readonly marketplaceToken: string;
  readonly platformToken: string;
}

function startMarketplace(
  { start, environment, folder, narrator }: Starting,
  { platform, marketplaceToken, platformToken }: MarketplaceStart,
): Promise<Pick<Stage, "marketplace" | "receiptJwk">> {
  const settings = {
    MARKETPLACE_PORT: "0",
    MARKETPLACE_DATA_DIR: join(folder, "marketplace"),
    MARKETPLACE_TOKEN: marketplaceToken,
    MARKETPLACE_PLATFORM_TOKEN: platformToken,
    MARKETPLACE_EXIT_WITH_PARENT: "1",
    // Works are fetched from public https only, and these are on loopback.
    MARKETPLACE_ALLOW_HOSTS: new URL(platform).host,
  };
  return narrator.step(
    async () => {
      const ready = await start({
        name: "the marketplace",
        entry: MARKETPLACE_ENTRY,
        environment: { ...environment, ...settings },
      });
      return { marketplace: readyText(ready, "origin"), receiptJwk: ready["receipt_jwk"] ?? null };
    },
    (started) => `A marketplace, where AI developers get training data, at ${started.marketplace}.`,
  );
}

interface ServerStart {
  readonly origin: string;
  readonly marketplace: string;
  readonly cloudflare: Zone;
}

/** Answers the operator's token. */
function startServer(
  { start, environment, folder, narrator }: Starting,
  { origin, marketplace, cloudflare }: ServerStart,
): Promise<string> {
  const settings = {
    LICET_ORIGIN: origin,
    LICET_PORT: new URL(origin).port,
    LICET_DATA_DIR: join(folder, "server"),
    // Webhooks and registrations leave for public https only, and this marketplace is on loopback.
    LICET_ALLOW_HOSTS: new URL(marketplace).host,
    LICET_SESSION_HOURS: SESSION_HOURS,
    LICET_LOG_LEVEL: "warn",
    LICET_DRAIN_SECONDS: "2",
    LICET_EXIT_WITH_PARENT: "1",
    ...cloudflare.settings,
  };
  return narrator.step(
    async () =>
      readyText(
        await start({ name: "the server", entry: serverEntry(), environment: { ...environment, ...settings } }),
        "operator_token",
      ),
    () => `Licet, which runs beside the platform, at ${origin}.`,
  );
}

/** Below what systems give to whoever asks for any port (RFC 6335 section 6, and Linux from 32 768 on), so that no program that starts meanwhile is given it. */
const PORTS = { from: 20_000, to: 32_000 };
const PORT_ATTEMPTS = 100;

/** A port that nobody listens on at the moment, and that nobody gets by chance. */
async function freePort(): Promise<number> {
  for (let attempt = 0; attempt < PORT_ATTEMPTS; attempt += 1) {
    const port = randomInt(PORTS.from, PORTS.to);
    if (await isFree(port)) return port;
  }
  throw new CommandError(`expected a free port from ${PORTS.from} to ${PORTS.to}, got none`, 1);
}

async function isFree(port: number): Promise<boolean> {
  const probe = createServer();
  const listening = once(probe, "listening").then(
    () => true,
    () => false,
  );
  probe.listen(port, "127.0.0.1");
  const isListening = await listening;
  if (isListening) {
    probe.close();
    await once(probe, "close");
  }
  return isListening;
}

/** Stops everything that was started, and removes the data unless it is to be kept. */
export async function strikeStage({ programs, folder, isKept }: Cast): Promise<void> {
  await Promise.all(programs.map((program) => program.stop()));
  if (!isKept) await rm(folder, { recursive: true, force: true, maxRetries: 5 });
}
