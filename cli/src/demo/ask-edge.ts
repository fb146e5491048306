import { objectOf, parseJsonObject, sha256, textUpTo, webUrl } from "@licet/protocol";
import type { LicetClient } from "@licet/sdk";
import { marketplaceOf } from "./act-dataset.ts";
import { call } from "../call-api.ts";
import type { Stage } from "./start-processes.ts";

const WORK = objectOf({ canonical_url: webUrl, sha256 });

/** A work as the platform registered it. */
export type Work = ReturnType<typeof WORK>;

export function readWork(client: LicetClient, contentId: string): Promise<Work> {
  return call(client, { method: "GET", path: `/api/v1/content/${contentId}` }, WORK);
}

/** What the edge answered. */
export interface EdgeAnswer {
  readonly status: number;
  /** The code of a refusal. */
  readonly code: string | undefined;
  readonly headers: Headers;
  readonly bytes: Uint8Array<ArrayBuffer>;
}

const GPTBOT = "Mozilla/5.0 (compatible; GPTBot/1.2; +https://openai.com/gptbot)";
const BROWSER = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";

/**
 * Asks the edge for an address of the platform's. Elsewhere the platform's own name leads to the
 * edge; on this machine it has another port.
 */
export async function askEdge(
  { platform, edge }: Stage,
  url: string,
  headers: Readonly<Record<string, string>>,
): Promise<EdgeAnswer> {
  const response = await fetch(url.replace(platform, edge), { headers, redirect: "manual" });
  const bytes = new Uint8Array(await response.arrayBuffer());
  const isProblem = response.headers.get("content-type") === "application/problem+json";
  const problem = isProblem ? parseJsonObject(bytes) : undefined;
  const code = problem?.ok === true ? problem.value["code"] : undefined;
  return {
    status: response.status,
    code: typeof code === "string" ? code : undefined,
    headers: response.headers,
    bytes,
  };
}

export function askAsPerson(stage: Stage, url: string): Promise<EdgeAnswer> {
  return askEdge(stage, url, { "user-agent": BROWSER });
}

const SHOWN = objectOf({ headers: objectOf({ authorization: textUpTo(20_000) }, { dpop: textUpTo(20_000) }) });

/** Asks as a crawler that says so, with a license if there is one. `unproven` shows it without the proof of its key. */
export async function askAsCrawler(
  stage: Stage,
  url: string,
  license?: { readonly token: string; readonly unproven?: true },
): Promise<EdgeAnswer> {
  const agent = { "user-agent": GPTBOT };
  if (license === undefined) return askEdge(stage, url, agent);
  const { token, unproven } = license;
  if (unproven === true) return askEdge(stage, url, { ...agent, authorization: `License ${token}` });
  const { headers } = await call(
    marketplaceOf(stage),
    { method: "POST", path: "/api/v1/license-presentations", body: { token, url } },
    SHOWN,
  );
  return askEdge(stage, url, { ...agent, ...headers });
}
