import { onTestFinished } from "vitest";
import { type Stand, openStand } from "./stage.ts";
import { type Answered, type Asking, type TestEdge, startTestEdge } from "./test-edge.ts";
import { type TestPlatform, WORK, openPlatform } from "./test-platform.ts";

export type Line = readonly [string, string];

/** A crawler that says so, and a person's browser. */
export const GPTBOT: Line = ["user-agent", "Mozilla/5.0 (compatible; GPTBot/1.2; +https://openai.com/gptbot)"];
export const PERSON: Line = ["user-agent", "Mozilla/5.0 (X11; Linux x86_64; rv:130.0) Gecko/20100101 Firefox/130.0"];
export const PAGE = "<h1>A song</h1>";

/** A platform, a site and the edge between them and the world. */
export interface World {
  readonly platform: TestPlatform;
  readonly site: Stand;
  readonly edge: TestEdge;
  readonly ask: (headers?: Asking["headers"], target?: string) => Promise<Answered>;
  /** The header of a license with these claims. */
  readonly bearing: (...claims: Parameters<TestPlatform["license"]>) => Promise<Line>;
}

/** Every document is asked for at each request, unless the settings say otherwise. */
export async function openWorld(settings: Readonly<Record<string, string>> = {}): Promise<World> {
  const [platform, site] = await Promise.all([openPlatform(), openStand()]);
  await site.answer({ "*": { body: PAGE, headers: { "content-type": "text/html", "cache-control": "max-age=60" } } });
  const edge = await startTestEdge(
    { LICET_ORIGIN: platform.origin, LICET_EDGE_TTL_SECONDS: "0", ...settings },
    site.origin,
  );
  onTestFinished(edge.close);
  return {
    platform,
    site,
    edge,
    ask: (headers = [], target = WORK) => edge.ask({ target, headers }),
    bearing: async (...claims) => ["authorization", `License ${await platform.license(...claims)}`],
  };
}

/** What a refusal says: the status, the code, and what is wrong with the license where that is the matter. */
export function outcomeOf({ status, text }: Answered): object {
  if (status === 200) return { status };
  const { code, errors } = JSON.parse(text) as { readonly code: string; readonly errors?: readonly { code: string }[] };
  return errors === undefined ? { status, code } : { status, code, cause: errors[0]?.code };
}
