import type { JsonObject } from "@licet/protocol";
import { type SamplePlatform, createSamplePlatform } from "@licet/sdk/testing";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { MarketplaceConfig } from "../config.ts";
import { type RunningMarketplace, startMarketplace } from "../start-marketplace.ts";

export const ORIGIN = "https://platform.example";
export const NOW = 1_768_737_900;
export const TOKEN = "marketplace-token";
export const PLATFORM_TOKEN = "platform-token";

/** What a test looks at in an answer. */
export interface Answered {
  readonly status: number;
  readonly headers: Headers;
  readonly body: Record<string, unknown>;
}

/** A marketplace that listens, beside a sample platform in memory, under a clock that the test sets. */
export interface Stage {
  readonly platform: SamplePlatform;
  readonly clock: { now: number };
  readonly call: (method: string, path: string, options?: CallOptions) => Promise<Answered>;
  readonly connect: () => Promise<Answered>;
  readonly register: () => Promise<Answered>;
  readonly deliver: (message: Parameters<SamplePlatform["webhook"]>[0]) => Promise<Answered>;
  /** Stops the process's part and starts it again on the same folder. */
  readonly restart: () => Promise<void>;
  readonly end: () => Promise<void>;
}

export interface CallOptions {
  readonly token?: string | undefined;
  readonly body?: JsonObject | string;
  readonly headers?: Record<string, string>;
}

export function connectionOf(platform: SamplePlatform): JsonObject {
  const { clientId, clientSecret } = platform.credentials;
  return {
    origin: platform.facts.origin,
    marketplace_id: "mkt_1",
    client_id: clientId,
    client_secret: clientSecret,
    webhook_secret: platform.secret,
  };
}

export function registrationOf(platform: SamplePlatform): JsonObject {
  const { origin, datasetId } = platform.facts;
  return {
    dataset_id: datasetId,
    name: "A sample",
    version: 1,
    origin,
    manifest_url: platform.manifestUrl,
    marketplace_id: "mkt_1",
  };
}

export async function callAt(
  origin: string,
  method: string,
  path: string,
  { token, body, headers = {} }: CallOptions = {},
): Promise<Answered> {
  const authorization = token === undefined ? {} : { authorization: `Bearer ${token}` };
  const content = body === undefined ? {} : { body: typeof body === "string" ? body : JSON.stringify(body) };
  const mediaType = body === undefined ? {} : { "content-type": "application/json" };
  const response = await fetch(`${origin}${path}`, {
    method,
    headers: { ...authorization, ...mediaType, ...headers },
    ...content,
  });
  const text = await response.text();
  return { status: response.status, headers: response.headers, body: text === "" ? {} : JSON.parse(text) };
}

export async function setStage(anaClaims: JsonObject = {}): Promise<Stage> {
  const clock = { now: NOW };
  const now = (): number => clock.now;
  const platform = await createSamplePlatform({ origin: ORIGIN, now, anaClaims });
  const dataDir = mkdtempSync(join(tmpdir(), "licet-marketplace-"));
  const config: MarketplaceConfig = {
    host: "127.0.0.1",
    port: 0,
    dataDir,
    token: TOKEN,
    platformToken: PLATFORM_TOKEN,
    allowedHosts: [],
    exitWithParent: false,
    test: false,
  };
  const start = (): Promise<RunningMarketplace> => startMarketplace(config, { fetch: platform.fetch, now });
  let marketplace = await start();
  const call: Stage["call"] = (method, path, options = {}) =>
    callAt(marketplace.origin, method, path, { token: TOKEN, ...options });
  return {
    platform,
    clock,
    call,
    connect: () => call("PUT", "/api/v1/connection", { body: connectionOf(platform) }),
    register: () => call("POST", "/api/v1/datasets", { token: PLATFORM_TOKEN, body: registrationOf(platform) }),
    deliver: (message) => call("POST", "/webhooks/consent-updated", { token: undefined, ...platform.webhook(message) }),
    restart: async () => {
      await marketplace.close();
      marketplace = await start();
    },
    end: async () => {
      await marketplace.close();
      rmSync(dataDir, { recursive: true });
    },
  };
}
