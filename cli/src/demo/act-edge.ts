import { contentStatusPath, normaliseContentUrl, parseJsonObject, readContentStatus, sha256Hex } from "@licet/protocol";
import { waitFor } from "../call-api.ts";
import { claim, orFail } from "../command-error.ts";
import { type Consenting, operatorOf } from "./act-consent.ts";
import type { OfferedDataset } from "./act-dataset.ts";
import { clientOf, readLicense } from "./act-license.ts";
import { type EdgeAnswer, type Work, askAsCrawler, askAsPerson, readWork } from "./ask-edge.ts";
import type { Narrator } from "./narrate.ts";
import { CRAWLER_PRICE, type Stage } from "./start-processes.ts";

/** A crawler with the marketplace's license, and what it asks for. */
export interface Crawler {
  readonly token: string;
  /** By the creator who takes it back later. */
  readonly work: Work;
  /** By one who does not. */
  readonly other: Work;
}

interface Play {
  readonly stage: Stage;
  readonly dataset: OfferedDataset;
  readonly narrator: Narrator;
}

/** What the edge answers while everything stands. */
export async function actEdge(
  play: Play,
  { creator, other }: { readonly creator: Consenting; readonly other: Consenting },
): Promise<Crawler> {
  play.narrator.heading("The edge: who gets what");
  const works = await readWorks(play, creator, other);
  await seePrice(play, works.work, creator);
  const crawler = { ...works, token: await seeLicense(play, works.work) };
  await seePerson(play, crawler, ({ headers }) => [
    "A person gets the work's page, byte for byte as the platform sends it, with a word to machines in its headers:",
    `content-usage: ${headers.get("content-usage") ?? ""}`,
  ]);
  return crawler;
}

const STATUS_SECONDS = 30;

/** Waits until it is public which dataset holds the works: that follows a publication by about a second. */
function readWorks(
  { stage, dataset: { dataset_id }, narrator }: Play,
  creator: Consenting,
  other: Consenting,
): Promise<Pick<Crawler, "work" | "other">> {
  const operator = operatorOf(stage);
  return narrator.step(
    async () => {
      const work = await readWork(operator, creator.contentIds[0] ?? "");
      const otherWork = await readWork(operator, other.contentIds[0] ?? "");
      for (const { canonical_url } of [work, otherWork]) {
        const url = `${stage.origin}${contentStatusPath(orFail(normaliseContentUrl(canonical_url), 1))}`;
        await waitFor(`the content status ${url}`, STATUS_SECONDS, () => namesDataset(url, dataset_id));
      }
      return { work, other: otherWork };
    },
    () =>
      "For the address of each work there is a signed document: which dataset holds it, and where it says whether that still stands. The edge reads these and keeps them for seconds; Licet itself is not asked about a request.",
  );
}

async function namesDataset(url: string, datasetId: string): Promise<true | undefined> {
  const response = await fetch(url);
  const document = parseJsonObject(await response.text());
  if (response.status === 404) return undefined;
  claim(response.ok && document.ok, `GET ${url}: expected a content status, got status ${response.status}`);
  const { grants } = orFail(readContentStatus(document.value), 1);
  return grants.some(({ dataset_id }) => dataset_id === datasetId) ? true : undefined;
}

/** Without a license an AI crawler gets a price, and where a license is had. */
async function seePrice({ stage, narrator }: Play, work: Work, { name }: Consenting): Promise<void> {
  const { price, link } = await narrator.step(
    async () => {
      const answer = await askAsCrawler(stage, work.canonical_url);
      expectRefusal(answer, 402, "license_required");
      const shown = { price: answer.headers.get("crawler-price") ?? "", link: answer.headers.get("link") ?? "" };
      const [, license = ""] = /^<([^>]+)>; rel="license"/.exec(shown.link) ?? [];
      claim(
        shown.price === CRAWLER_PRICE && license.startsWith(stage.origin),
        `expected the price ${CRAWLER_PRICE} and a link to a license, got ${shown.price} and ${shown.link}`,
      );
      const offer = await fetch(license);
      claim(offer.ok, `GET ${license}: expected where a license is had, got status ${offer.status}`);
      return shown;
    },
    () => `GPTBot asks for a work of ${name}'s and has no license. 402, with a price and where a license is had:`,
  );
  narrator.quote(
    [
      `GET ${new URL(work.canonical_url).pathname}`,
      `crawler-price: ${price}`,
      `link: ${link.replace("; type=", ";\n  type=")}`,
    ].join("\n"),
  );
}

/** Answers the marketplace's license, as a token that crawlers show. */
async function seeLicense({ stage, dataset, narrator }: Play, work: Work): Promise<string> {
  const { license_id } = await readLicense(stage, dataset);
  const token = await narrator.step(
    async () => {
      const fresh = await clientOf(stage, dataset).freshToken(license_id);
      claim(fresh.ok, `expected a token of ${license_id}, got ${fresh.ok ? "one" : fresh.refusal.detail}`);
      expectWork(await askAsCrawler(stage, work.canonical_url, fresh.value), work);
      return fresh.value.token;
    },
    () =>
      "The same crawler with the marketplace's license gets the file, and its SHA-256 is the one on record. The license is bound to the marketplace's key, which signed a proof for this one request.",
  );
  await narrator.step(
    async () => {
      const answer = await askAsCrawler(stage, work.canonical_url, { token, unproven: true });
      expectRefusal(answer, 401, "license_invalid");
    },
    () => "Somebody who has copied the license, but not the key, gets 401.",
  );
  return token;
}

/** A person gets a page: `tell` says so, and what else is shown of it. */
async function seePerson(
  { stage, narrator }: Play,
  { work }: Pick<Crawler, "work">,
  tell: (page: EdgeAnswer) => readonly [sentence: string, ...shown: string[]],
): Promise<void> {
  const page = await narrator.step(
    async () => {
      const url = pageOf(work);
      const answer = await askAsPerson(stage, url);
      const own = await fetch(url);
      const isSame = sha256Hex(answer.bytes) === sha256Hex(new Uint8Array(await own.arrayBuffer()));
      claim(
        answer.status === 200 && own.ok && isSame,
        `expected a person to get ${url} as the platform sends it, got status ${answer.status}`,
      );
      return answer;
    },
    (answer) => tell(answer)[0],
  );
  const [, ...shown] = tell(page);
  if (shown.length > 0) narrator.quote(shown.join("\n"));
}

/** The platform shows each work on a page for people. */
function pageOf({ canonical_url }: Work): string {
  return canonical_url.replace("/works/", "/watch/").replace(/\.[^./]+$/, "");
}

/** How it went from the answer of a revocation until the edge refused. */
export interface EdgeRefusal {
  readonly milliseconds: number;
  /** Requests in between that still got the file. */
  readonly letThrough: number;
}

/** A copy that no purge reaches is as old as this at most, and a second for what is under way. */
const BOUND_SECONDS = 16;

/** Asks again and again with a license that has opened a work, until the edge refuses. */
export async function awaitRefusal(stage: Stage, { token, work }: Crawler): Promise<EdgeRefusal> {
  const startedAt = performance.now();
  let letThrough = 0;
  return waitFor("the edge to refuse the work that was taken back", BOUND_SECONDS, async () => {
    const answer = await askAsCrawler(stage, work.canonical_url, { token });
    if (answer.status === 200) letThrough += 1;
    else expectRefusal(answer, 403, "consent_revoked");
    return answer.status === 200 ? undefined : { milliseconds: performance.now() - startedAt, letThrough };
  });
}

/** What the edge answers once a creator took it back. */
export async function seeEdgeAfterwards(
  play: Play & { readonly creator: Consenting; readonly crawler: Crawler },
  { milliseconds, letThrough }: EdgeRefusal,
): Promise<void> {
  const { stage, narrator, creator, crawler } = play;
  const before = letThrough === 0 ? "nothing passed in between" : `${letThrough} requests passed in between`;
  narrator.measured(
    `The crawler, with the license that opened the work a moment ago: 403, consent_revoked. It took this long from that answer, and ${before}. Licet has the edge's cache purged; where a purge is lost, the edge's own clock ends it within 15 s.`,
    milliseconds,
  );
  await narrator.step(
    async () => expectWork(await askAsCrawler(stage, crawler.other.canonical_url, crawler), crawler.other),
    () => "The license still stands, and still opens a work by somebody else.",
  );
  await seePerson(play, crawler, () => [
    `People still get the page of ${creator.name}'s work. For them nothing happened.`,
  ]);
}

function expectRefusal({ status, code }: EdgeAnswer, expected: number, expectedCode: string): void {
  claim(
    status === expected && code === expectedCode,
    `expected the edge to answer ${expected} ${expectedCode}, got ${status} ${code ?? ""}`,
  );
}

function expectWork({ status, code, bytes }: EdgeAnswer, { canonical_url, sha256 }: Work): void {
  const got = sha256Hex(bytes);
  claim(
    status === 200 && got === sha256,
    `expected ${canonical_url} with SHA-256 ${sha256} through the edge, got ${status} ${code ?? got}`,
  );
}
