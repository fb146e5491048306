import { PROPAGATION_PATH, contentStatusPath, isIdentifier } from "@licet/protocol";

/** Where each public document lives: every path of a document is built here. */
export const documentPaths = {
  keySet: "/.well-known/keys.json",
  didDocument: "/.well-known/did.json",
  revocations: "/.well-known/consent-revocations.json",
  propagation: PROPAGATION_PATH,
  olderRevocations: (page: number) => `/.well-known/consent-revocations/${page}.json`,
  statusList: (list: number) => `/status-lists/${list}`,
  datasetStatus: (datasetId: string) => `/.well-known/dataset-status/${datasetId}`,
  /** Of a normalised URL. */
  contentStatus: contentStatusPath,
  currentManifest: (datasetId: string) => `/datasets/${datasetId}/manifest.json`,
  manifest: (datasetId: string, version: number) => `/datasets/${datasetId}/versions/${version}/manifest.json`,
  terms: (license: string, language?: string) =>
    `/terms/${license.replace(":", "/")}${language === undefined ? "" : `/${language}`}`,
  agreement: (agreement: string) => `/agreements/${agreement.replace(":", "/")}`,
  robots: "/robots.txt",
  tdmFile: "/.well-known/tdmrep.json",
  license: "/license.xml",
  rslCatalogue: "/rsl/catalogue.xml",
  rslDataset: (datasetId: string) => `/rsl/datasets/${datasetId}.xml`,
  tdmPolicy: "/tdm/policy.json",
  tdmDataset: (datasetId: string) => `/tdm/datasets/${datasetId}.json`,
  hostRobots: (host: string) => `/rights/${hostSegment(host)}/robots.txt`,
  hostTdmFile: (host: string) => `/rights/${hostSegment(host)}/tdmrep.json`,
  hostLicense: (host: string) => `/rights/${hostSegment(host)}/license.xml`,
} as const;

/** A host as a path says it: `works.example~8443`. */
function hostSegment(host: string): string {
  return host.replace(":", "~");
}

const IDENTIFIER = "(?<identifier>[A-Za-z0-9_.~-]+)";

/** A path that is none of these is never looked up. */
const PATTERNS: readonly RegExp[] = [
  /^\/\.well-known\/keys\.json$/,
  /^\/\.well-known\/did\.json$/,
  /^\/\.well-known\/consent-revocations\.json$/,
  /^\/propagation\.json$/,
  /^\/\.well-known\/consent-revocations\/\d{1,9}\.json$/,
  /^\/status-lists\/\d{1,9}$/,
  new RegExp(`^/\\.well-known/dataset-status/${IDENTIFIER}$`),
  /^\/\.well-known\/content-status\/[A-Za-z0-9_-]{43}$/,
  new RegExp(`^/datasets/${IDENTIFIER}/manifest\\.json$`),
  new RegExp(`^/datasets/${IDENTIFIER}/versions/\\d{1,9}/manifest\\.json$`),
  /^\/terms\/[a-z0-9_]{1,64}\/\d{1,4}\.\d{1,4}(\/[a-z]{2,3}(-[A-Za-z0-9]{2,8})*)?$/,
  /^\/agreements\/[a-z0-9_]{1,64}\/\d{1,4}\.\d{1,4}$/,
  /^\/robots\.txt$/,
  /^\/\.well-known\/tdmrep\.json$/,
  /^\/license\.xml$/,
  /^\/rsl\/catalogue\.xml$/,
  new RegExp(`^/rsl/datasets/${IDENTIFIER}\\.xml$`),
  /^\/tdm\/policy\.json$/,
  new RegExp(`^/tdm/datasets/${IDENTIFIER}\\.json$`),
  /^\/rights\/[a-z0-9_-]+(\.[a-z0-9_-]+)*(~\d{1,5})?\/(robots\.txt|tdmrep\.json|license\.xml)$/,
];

export function isDocumentPath(path: string): boolean {
  const match = PATTERNS.map((pattern) => pattern.exec(path)).find((found) => found !== null);
  if (match === undefined) return false;
  const identifier = match.groups?.["identifier"];
  return identifier === undefined || isIdentifier(identifier);
}

const KINDS: readonly (readonly [start: string, kind: string])[] = [
  ["/.well-known/dataset-status/", "dataset-status"],
  ["/.well-known/content-status/", "content-status"],
  ["/.well-known/consent-revocations", "consent-revocations"],
  ["/.well-known/keys.json", "key-set"],
  ["/.well-known/did.json", "did-document"],
  ["/status-lists/", "status-list"],
  ["/terms/", "terms"],
  ["/agreements/", "agreement"],
  ["/robots.txt", "rights-signals"],
  ["/.well-known/tdmrep.json", "rights-signals"],
  ["/license.xml", "rights-signals"],
  ["/rsl/", "rights-signals"],
  ["/tdm/", "rights-signals"],
  ["/rights/", "rights-signals"],
  [PROPAGATION_PATH, "propagation"],
];

/** What kind of document lives at a path, for counting: one of twelve words. */
export function documentKindOf(path: string): string {
  const known = KINDS.find(([start]) => path.startsWith(start))?.[1];
  return known ?? (path.includes("/versions/") ? "manifest" : "current-manifest");
}
