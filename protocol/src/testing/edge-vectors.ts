import {
  type JsonMembers,
  type TestKey,
  type Vector,
  accepted,
  refused,
  sha256Hex,
  signed,
  writeVectors,
} from "./vector-writing.ts";
import {
  DAY,
  JTI,
  KEY_SET,
  NOW,
  ORIGIN,
  OTHER_JTI,
  STATUS,
  compromisedKey,
  consentKey,
  documentKey,
  documentKeyEs256,
  instantAt,
  retiredKey,
  strangerKey,
} from "./vector-world.ts";

const URL_OF_WORK = "https://works.example/songs/1";
const OTHER_URL = "https://works.example/songs/2";

const GRANT: JsonMembers = {
  dataset_id: "ds_1",
  version: 2,
  scope: ["training_text", "commercial"],
  jti: JTI,
  expires_at: instantAt(NOW + 90 * DAY),
  dataset_status: { status_list: { idx: 8, uri: `${ORIGIN}/status-lists/1` } },
  consent_status: { status_list: { idx: 9, uri: `${ORIGIN}/status-lists/2` } },
};

const CONTENT_STATUS: JsonMembers = {
  type: "content-status",
  iss: ORIGIN,
  url: URL_OF_WORK,
  url_sha256: sha256Hex(URL_OF_WORK),
  content_id: "c_1",
  modality: "text",
  seq: 3,
  status: STATUS,
  grants: [GRANT, { ...GRANT, dataset_id: "ds_2", jti: OTHER_JTI }],
  checked_at: instantAt(NOW),
  ttl_seconds: 15,
  expires_at: instantAt(NOW + DAY),
};

const REFRESH: JsonMembers = {
  type: "edge-refresh",
  iss: ORIGIN,
  seq: 7,
  issued_at: instantAt(NOW),
  documents: [
    { path: "/status-lists/1", seq: 12 },
    { path: "/.well-known/content-status/qT0aM4pJ1PstB_cLNPDWf-HR-grTlsfYh34qpOzEUY8", seq: 3 },
  ],
};

function omit(document: JsonMembers, name: string): JsonMembers {
  return Object.fromEntries(Object.entries(document).filter(([member]) => member !== name));
}

/** What befalls every document that an edge reads: its members, its keys and its clock. */
function anyDocument(
  asked: (document: JsonMembers, key?: TestKey) => JsonMembers,
  document: JsonMembers,
  optional: readonly string[] = [],
): readonly Vector[] {
  const altered = { ...signed(document, documentKey), seq: 99 };
  return [
    accepted("signed with ES256", asked(document, documentKeyEs256)),
    accepted("an unknown member is kept", asked({ ...document, note: "Rösti" })),
    refused("a member changed after signing", "signature_invalid", {
      ...asked(document),
      text: JSON.stringify(altered),
    }),
    refused("signed by a stranger", "signature_missing", asked(document, strangerKey)),
    refused("signed by the consent key", "key_purpose_wrong", asked(document, consentKey)),
    refused("signed by a retired key", "key_not_in_force", asked(document, retiredKey)),
    refused("signed by a revoked key", "key_not_in_force", asked(document, compromisedKey)),
    refused("of another issuer", "document_invalid", asked({ ...document, iss: "https://other.example" })),
    refused("of another type", "document_invalid", asked({ ...document, type: "dataset-status" })),
    refused("test: true", "test_document", asked({ ...document, test: true })),
    refused("not signed", "document_invalid", { ...asked(document), text: JSON.stringify(document) }),
    refused("no JSON", "json_malformed", { ...asked(document), text: "<html>" }),
    refused("a list", "json_malformed", { ...asked(document), text: "[]" }),
    refused("a member twice", "json_malformed", {
      ...asked(document),
      text: JSON.stringify(signed(document, documentKey)).replace("{", '{"seq":1,'),
    }),
    refused("a negative seq", "document_invalid", asked({ ...document, seq: -1 })),
    ...Object.keys(document)
      .filter((name) => !optional.includes(name))
      .map((name) => refused(`without ${name}`, "document_invalid", asked(omit(document, name)))),
  ];
}

function askedStatus(document: JsonMembers, key: TestKey = documentKey): JsonMembers {
  return { text: JSON.stringify(signed(document, key)), url: URL_OF_WORK, now: NOW + 60 };
}

function contentStatuses(): readonly Vector[] {
  const invalid = (name: string, members: JsonMembers): Vector =>
    refused(name, "document_invalid", askedStatus({ ...CONTENT_STATUS, ...members }));
  return [
    accepted("a work in two datasets", askedStatus(CONTENT_STATUS)),
    accepted("a work in none", askedStatus({ ...CONTENT_STATUS, grants: [] })),
    accepted("a work of a kind that is not licensed", askedStatus(omit(CONTENT_STATUS, "modality"))),
    accepted("the last second of its day", { ...askedStatus(CONTENT_STATUS), now: NOW + DAY - 1 }),
    accepted("from a clock that is 60 seconds ahead", { ...askedStatus(CONTENT_STATUS), now: NOW - 60 }),
    refused("a day later", "document_expired", { ...askedStatus(CONTENT_STATUS), now: NOW + DAY }),
    refused("from a clock that is further ahead", "document_expired", {
      ...askedStatus(CONTENT_STATUS),
      now: NOW - 61,
    }),
    refused("one that wants to be trusted for a week", "document_expired", {
      ...askedStatus({ ...CONTENT_STATUS, expires_at: instantAt(NOW + 7 * DAY) }),
      now: NOW + DAY,
    }),
    refused("of another work", "document_invalid", { ...askedStatus(CONTENT_STATUS), url: OTHER_URL }),
    ...anyDocument(askedStatus, CONTENT_STATUS, ["modality"]),
    invalid("a URL that is not normalised", { url: `${URL_OF_WORK}#top`, url_sha256: sha256Hex(`${URL_OF_WORK}#top`) }),
    invalid("a URL over http", { url: "http://works.example/", url_sha256: sha256Hex("http://works.example/") }),
    invalid("the hash of another URL", { url_sha256: sha256Hex(OTHER_URL) }),
    invalid("an unknown modality", { modality: "smell" }),
    invalid("grants that are no list", { grants: GRANT }),
    ...Object.keys(GRANT).map((name) => invalid(`a grant without ${name}`, { grants: [omit(GRANT, name)] })),
    invalid("a grant with a jti of another form", { grants: [{ ...GRANT, jti: "c_1" }] }),
    invalid("a grant whose status has no place", { grants: [{ ...GRANT, consent_status: {} }] }),
    invalid("a status list on no web address", { status: { status_list: { idx: 1, uri: "/status-lists/1" } } }),
  ];
}

function askedRefresh(document: JsonMembers, key: TestKey = documentKey): JsonMembers {
  return { text: JSON.stringify(signed(document, key)), now: NOW + 1 };
}

function refreshes(): readonly Vector[] {
  const of = (document: JsonMembers | string): JsonMembers => askedRefresh({ ...REFRESH, documents: [document] });
  const ofPath = (path: string): JsonMembers => of({ path, seq: 0 });
  return [
    accepted("two documents", askedRefresh(REFRESH)),
    accepted("after five minutes", { ...askedRefresh(REFRESH), now: NOW + 300 }),
    accepted("from a clock that is 60 seconds ahead", { ...askedRefresh(REFRESH), now: NOW - 60 }),
    accepted("a manifest", ofPath("/datasets/ds_1/manifest.json")),
    refused("after more than five minutes", "document_expired", { ...askedRefresh(REFRESH), now: NOW + 301 }),
    refused("from a clock that is further ahead", "document_expired", { ...askedRefresh(REFRESH), now: NOW - 61 }),
    ...anyDocument(askedRefresh, REFRESH),
    refused("no documents", "document_invalid", askedRefresh({ ...REFRESH, documents: [] })),
    refused("a path alone", "document_invalid", of("/status-lists/1")),
    refused("a document without seq", "document_invalid", of({ path: "/status-lists/1" })),
    refused("a document without path", "document_invalid", of({ seq: 1 })),
    refused("a document whose seq is negative", "document_invalid", of({ path: "/status-lists/1", seq: -1 })),
    refused("a document whose seq is text", "document_invalid", of({ path: "/status-lists/1", seq: "1" })),
    ...[
      "status-lists/1",
      "//other.example/status-lists/1",
      "https://other.example/status-lists/1",
      "/status-lists/../1",
      "/status-lists/%31",
      "/status-lists/1?a",
      "/.git/config",
      "/",
      `/${"a".repeat(256)}`,
    ].map((path) => refused(`the path ${path.slice(0, 40)}`, "document_invalid", ofPath(path))),
  ];
}

export function writeEdgeVectors(): void {
  const shared = { key_set: KEY_SET };
  writeVectors(
    "content-status.json",
    "Content statuses as they come (`text`), verified with `key_set` as the status of `url` at `now`.",
    contentStatuses(),
    shared,
  );
  writeVectors(
    "edge-refresh.json",
    "What an edge is told to fetch again, as it comes (`text`), verified with `key_set` at `now`.",
    refreshes(),
    shared,
  );
}
