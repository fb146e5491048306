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
async function askEdge(
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

export interface ShownLicense {
  readonly token: string;
  /** Without the proof of its key. */
  readonly unproven?: true;
}

/** Asks as a crawler that says so, with a license if there is one. */
export async function askAsCrawler(stage: Stage, url: string, license?: ShownLicense): Promise<EdgeAnswer> {
  for (let attempt = 1; ; attempt += 1) {
    // A proof is for one request: asking again takes another.
    const headers = license === undefined ? {} : await licenseHeaders(stage, url, license);
    const answer = await askEdge(stage, url, { "user-agent": GPTBOT, ...headers });
    if (answer.status !== 503 || attempt === MAX_ATTEMPTS) return answer;
    await new Promise((resolve) => setTimeout(resolve, RETRY_AFTER_MS));
  }
}

/** An edge that cannot tell, such as one on a machine that is busy, says so and asks to be asked again. */
const MAX_ATTEMPTS = 4;
const RETRY_AFTER_MS = 2_000;

const SHOWN = objectOf({ headers: objectOf({ authorization: textUpTo(20_000) }, { dpop: textUpTo(20_000) }) });

async function licenseHeaders(
  stage: Stage,
  url: string,
  { token, unproven }: ShownLicense,
): Promise<Readonly<Record<string, string>>> {
  if (unproven === true) return { authorization: `License ${token}` };
  const { headers } = await call(
    marketplaceOf(stage),
    { method: "POST", path: "/api/v1/license-presentations", body: { token, url } },
    SHOWN,
  );
  return headers;
}
