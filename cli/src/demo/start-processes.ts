import type { JsonObject, JsonValue } from "@licet/protocol";
import { randomBytes } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { type Program, type ProgramOptions, readyText, startProgram } from "../child-process.ts";
import { CommandError, reasonOf } from "../command-error.ts";
import { serverEntry } from "../serve.ts";
import type { Environment } from "../settings.ts";
import type { Narrator } from "./narrate.ts";

/** The three programs of the story, and what opens their doors. */
export interface Stage {
  readonly platform: string;
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

/** Starts the platform, the marketplace and the server as processes of their own, on free ports. */
export async function startProcesses(cast: Cast, environment: Environment, narrator: Narrator): Promise<Stage> {
  const marketplaceToken = `demo_mkt_${randomBytes(TOKEN_BYTES).toString("base64url")}`;
  const platformToken = `demo_plt_${randomBytes(TOKEN_BYTES).toString("base64url")}`;
  const start = (options: Omit<ProgramOptions, "errors">): Promise<JsonObject> => {
    const program = startProgram({ ...options, errors: "keep" });
    cast.programs.push(program);
    return program.ready;
  };
  const settings = {
    platform: { PLATFORM_EXIT_WITH_PARENT: "1" },
    marketplace: {
      MARKETPLACE_PORT: "0",
      MARKETPLACE_DATA_DIR: join(cast.folder, "marketplace"),
      MARKETPLACE_TOKEN: marketplaceToken,
      MARKETPLACE_PLATFORM_TOKEN: platformToken,
      MARKETPLACE_EXIT_WITH_PARENT: "1",
    },
  };

  const platform = await narrator.step(
    async () =>
      readyText(
        await start({
          name: "the platform",
          entry: PLATFORM_ENTRY,
          environment: { ...environment, ...settings.platform },
        }),
        "origin",
      ),
    (origin) => `A content platform: a site with the works of three creators, at ${origin}.`,
  );
  const { marketplace, receiptJwk } = await narrator.step(
    async () => {
      const ready = await start({
        name: "the marketplace",
        entry: MARKETPLACE_ENTRY,
        // Works are fetched from public https only, and these are on loopback.
        environment: { ...environment, ...settings.marketplace, MARKETPLACE_ALLOW_HOSTS: new URL(platform).host },
      });
      return { marketplace: readyText(ready, "origin"), receiptJwk: ready["receipt_jwk"] ?? null };
    },
    (started) => `A marketplace, where AI developers get training data, at ${started.marketplace}.`,
  );
  const { origin, operatorToken } = await narrator.step(
    async () => {
      const ready = await start({
        name: "the server",
        entry: serverEntry(),
        environment: { ...environment, ...serverSettings(cast.folder, marketplace) },
      });
      return { origin: readyText(ready, "origin"), operatorToken: readyText(ready, "operator_token") };
    },
    (started) => `Licet, which runs beside the platform, at ${started.origin}.`,
  );
  return { platform, marketplace, origin, operatorToken, marketplaceToken, platformToken, receiptJwk };
}

function serverSettings(folder: string, marketplace: string): Environment {
  return {
    LICET_PORT: "0",
    LICET_DATA_DIR: join(folder, "server"),
    // Webhooks and registrations leave for public https only, and this marketplace is on loopback.
    LICET_ALLOW_HOSTS: new URL(marketplace).host,
    LICET_SESSION_HOURS: SESSION_HOURS,
    LICET_LOG_LEVEL: "warn",
    LICET_DRAIN_SECONDS: "2",
    LICET_EXIT_WITH_PARENT: "1",
  };
}

/** Stops everything that was started, and removes the data unless it is to be kept. */
export async function strikeStage({ programs, folder, isKept }: Cast): Promise<void> {
  await Promise.all(programs.map((program) => program.stop()));
  if (!isKept) await rm(folder, { recursive: true, force: true, maxRetries: 5 });
}
