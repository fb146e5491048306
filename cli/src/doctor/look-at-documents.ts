import {
  type JsonValue,
  type KeySet,
  STATUS_LIST_TYP,
  isJsonObject,
  verifyDocument,
  verifyKeySet,
  verifyStatusList,
} from "@licet/protocol";
import { type FetchedDocument, ageOf, cachesOf, fetchDocument, isRevalidated } from "./fetch-document.ts";
import { type Finding, type Problem, findingOf, reasonBelow, warning, wrong } from "./finding.ts";
import { type DocumentLife, judgeAnswer, judgeCaching, judgeFreshness, judgeOrder } from "./judge-document.ts";

/** Status lists that are looked at; a platform has one for each million consents. */
const MAX_STATUS_LISTS = 8;
/** The terms that every server comes with. */
const TERMS = "/terms/paid_training/1.0";

export interface DocumentsLook {
  readonly origin: string;
  /** The server itself, on this machine, past every cache; undefined when it is not known. */
  readonly inside: string | undefined;
  readonly datasets: readonly string[];
}

interface Look extends DocumentsLook {
  keys: KeySet | undefined;
}

interface Wanted {
  readonly path: string;
  readonly life: DocumentLife;
  readonly contentType?: string;
  /** Why what arrived is not what was signed; undefined when it is, or when nobody can tell here. */
  readonly verify?: (fetched: FetchedDocument) => Promise<string | undefined>;
}

export interface SeenDocuments {
  readonly findings: readonly Finding[];
  readonly keySet: FetchedDocument | undefined;
}

/** Every kind of public document, as readers get it. */
export async function lookAtDocuments(asked: DocumentsLook): Promise<SeenDocuments> {
  const look: Look = { ...asked, keys: undefined };
  const findings: Finding[] = [];
  const see = async (wanted: Wanted): Promise<FetchedDocument | undefined> => {
    const { finding, fetched } = await lookAt(wanted, look);
    findings.push(finding);
    return fetched;
  };
  const keySet = await see({ path: "/.well-known/keys.json", life: "clocked", verify: verifyKeys(look) });
  await see({ path: "/.well-known/did.json", life: "plain", contentType: "application/did+json" });
  const view = await see({
    path: "/.well-known/consent-revocations.json",
    life: "clocked",
    verify: verifyAs(look, "consent-revocations"),
  });
  await see({ path: TERMS, life: "lasting" });
  const lists = new Set(listsOf(view?.members["status_lists"], look));
  for (const dataset of asked.datasets) {
    await see({
      path: `/.well-known/dataset-status/${dataset}`,
      life: "clocked",
      verify: verifyAs(look, "dataset-status"),
    });
    const path = `/datasets/${dataset}/manifest.json`;
    const current = await see({ path, life: "clocked", verify: verifyAs(look, "current-manifest") });
    if (current === undefined) continue;
    await see({ path: lastingManifest(dataset, current), life: "lasting" });
    for (const list of listsOf([referenceOf(current) ?? null], look)) lists.add(list);
  }
  for (const path of [...lists].slice(0, MAX_STATUS_LISTS)) await see(statusList(path, look));
  return { findings, keySet };
}

/** The version that the current manifest names: its bytes never change. */
function lastingManifest(dataset: string, { members }: FetchedDocument): string {
  const { version } = members;
  return `/datasets/${dataset}/versions/${typeof version === "number" ? version : 1}/manifest.json`;
}

/** The list that holds a dataset's own bit. */
function referenceOf({ members }: FetchedDocument): JsonValue | undefined {
  const reference = members["status_reference"];
  const list = isJsonObject(reference) ? reference["status_list"] : undefined;
  return isJsonObject(list) ? list["uri"] : undefined;
}

function statusList(path: string, look: Look): Wanted {
  return {
    path,
    life: "clocked",
    contentType: `application/${STATUS_LIST_TYP}`,
    verify: async ({ text, fetchedMs }) => {
      if (look.keys === undefined) return undefined;
      const check = { uri: look.origin + path, keys: look.keys, now: Math.floor(fetchedMs / 1_000) };
      const verified = await verifyStatusList(text, check);
      return verified.ok || verified.refusal.code === "document_expired" ? undefined : verified.refusal.detail;
    },
  };
}

function verifyKeys(look: Look): NonNullable<Wanted["verify"]> {
  return async ({ members, fetchedMs }) => {
    const verified = await verifyKeySet(members, look.origin, Math.floor(fetchedMs / 1_000), { allowTest: true });
    if (verified.ok) look.keys = verified.value;
    // Its age is judged with everybody else's.
    return verified.ok || verified.refusal.code === "document_expired" ? undefined : verified.refusal.detail;
  };
}

function verifyAs(
  look: Look,
  type: "consent-revocations" | "dataset-status" | "current-manifest",
): NonNullable<Wanted["verify"]> {
  return async ({ members, fetchedMs }) => {
    if (look.keys === undefined) return undefined;
    const verified = await verifyDocument(members, {
      type,
      keys: look.keys,
      madeAt: Math.floor(fetchedMs / 1_000),
      allowTest: true,
    });
    return verified.ok ? undefined : verified.refusal.detail;
  };
}

function listsOf(uris: JsonValue | undefined, { origin }: Look): readonly string[] {
  return (Array.isArray(uris) ? uris : []).flatMap((uri) =>
    typeof uri === "string" && uri.startsWith(`${origin}/`) ? [uri.slice(origin.length)] : [],
  );
}

async function lookAt(
  wanted: Wanted,
  look: Look,
): Promise<{ readonly finding: Finding; readonly fetched: FetchedDocument | undefined }> {
  const { path } = wanted;
  const url = look.origin + path;
  try {
    const inside =
      look.inside === undefined ? undefined : await fetchDocument(look.inside + path).catch(() => undefined);
    const fetched = await fetchDocument(url);
    const answer = judgeAnswer(fetched, { contentType: wanted.contentType ?? "application/json" });
    if (fetched.status !== 200) return { finding: findingOf(path, answer, ""), fetched: undefined };
    const problems = [
      ...answer,
      ...(await judgeEtag(fetched, url)),
      ...judgeCaching(fetched, wanted.life),
      ...(wanted.life === "clocked" ? await judgeTime(fetched, url, inside) : []),
      ...(await judgeBytes(fetched, wanted)),
    ];
    return { finding: findingOf(path, problems, describe(fetched)), fetched };
  } catch (error) {
    const sentence = `cannot be reached (${reasonBelow(error)}): is the server running, and does its name lead to it?`;
    return { finding: findingOf(path, [wrong(sentence)], ""), fetched: undefined };
  }
}

/** A web server of files may do without, since its ETags are not of the bytes; one that is sent has to be good. */
async function judgeEtag({ headers }: FetchedDocument, url: string): Promise<readonly Problem[]> {
  const etag = headers.get("etag");
  if (etag === null || (await isRevalidated(url, etag))) return [];
  return [warning("its ETag is not answered with 304: each reading sends it whole")];
}

async function judgeTime(
  fetched: FetchedDocument,
  url: string,
  inside: FetchedDocument | undefined,
): Promise<readonly Problem[]> {
  return [...judgeFreshness(fetched), ...judgeOrder(fetched, await fetchDocument(url), inside)];
}

async function judgeBytes(fetched: FetchedDocument, { verify }: Wanted): Promise<readonly Problem[]> {
  const reason = await verify?.(fetched);
  return reason === undefined
    ? []
    : [wrong(`it does not verify (${reason}): nothing between the server and its readers may change a byte`)];
}

function describe(fetched: FetchedDocument): string {
  const caches = cachesOf(fetched);
  const seq = fetched.seq === undefined ? "" : `seq ${fetched.seq}, `;
  return `${seq}${fetched.headers.get("cache-control") ?? ""}, age ${ageOf(fetched)}${caches === "" ? "" : `, ${caches}`}`;
}
