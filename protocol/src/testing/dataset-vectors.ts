import {
  type JsonMembers,
  type TestKey,
  type Vector,
  accepted,
  documentSha256,
  refused,
  sha256Hex,
  signed,
  token,
  writeVectors,
} from "./vector-writing.ts";
import {
  CLOCKS,
  DAY,
  HASH,
  JTI,
  KEY_SET,
  NOW,
  ORIGIN,
  OTHER_JTI,
  STATUS,
  anaKey,
  compromisedKey,
  consentKey,
  documentKey,
  documentKeyEs256,
  instantAt,
  retiredKey,
  strangerKey,
} from "./vector-world.ts";

const MANIFEST: JsonMembers = {
  type: "manifest",
  iss: ORIGIN,
  dataset_id: "ds_1",
  name: "Essays on bread",
  version: 2,
  previous_manifest_sha256: HASH,
  items_count: 3,
  items_root: HASH,
  items_url: `${ORIGIN}/datasets/ds_1/versions/2/items`,
  consents_count: 1,
  consents_root: HASH,
  consents_url: `${ORIGIN}/datasets/ds_1/versions/2/consents`,
  scope: ["training_text", "commercial"],
  pricing: { model_use: "per-token:0.0001" },
  currency: "EUR",
  license: "paid_training:1.0",
  status: STATUS,
  published_at: instantAt(NOW - DAY),
};

const CURRENT: JsonMembers = {
  ...MANIFEST,
  ...CLOCKS,
  type: "current-manifest",
  status: "partially_revoked",
  status_reference: STATUS,
  withdrawn: [
    { at: instantAt(NOW - 60), jti: JTI },
    { at: instantAt(NOW - 30), content_id: "c_2" },
  ],
  withdrawn_complete: true,
  withdrawn_count: 2,
  seq: 9,
  manifest_sha256: HASH,
};

const DATASET_STATUS: JsonMembers = {
  type: "dataset-status",
  iss: ORIGIN,
  dataset_id: "ds_1",
  status: "partially_revoked",
  seq: 9,
  current_version: 2,
  min_valid_version: 1,
  manifest_sha256: HASH,
  revoked_jtis: [JTI],
  revoked_complete: true,
  revoked_count: 1,
  withdrawn_items_count: 2,
  ...CLOCKS,
};

const REVOCATIONS: JsonMembers = {
  type: "consent-revocations",
  iss: ORIGIN,
  seq: 4,
  revocations: [
    { jti: JTI, revoked_at: instantAt(NOW - 60) },
    { jti: OTHER_JTI, revoked_at: instantAt(NOW - 30) },
  ],
  status_lists: [`${ORIGIN}/status-lists/1`],
  next: `${ORIGIN}/.well-known/consent-revocations/1.json`,
  ...CLOCKS,
};

function asked(document: JsonMembers, key: TestKey = documentKey, now = NOW): JsonMembers {
  return { document: signed(document, key), now };
}

function invalid(name: string, document: JsonMembers): Vector {
  return refused(name, "document_invalid", asked(document));
}

/** One vector for each member that must be there. */
function missingMembers(document: JsonMembers, optional: readonly string[] = []): readonly Vector[] {
  return Object.keys(document)
    .filter((name) => !optional.includes(name))
    .map((name) =>
      invalid(`without ${name}`, Object.fromEntries(Object.entries(document).filter(([member]) => member !== name))),
    );
}

/** What befalls every signed document that speaks of the present. */
function presentDocument(document: JsonMembers): readonly Vector[] {
  return [
    accepted("the last second of trust", asked(document, documentKey, NOW + 299), { sha256: documentSha256(document) }),
    accepted("signed with ES256", asked(document, documentKeyEs256), { sha256: documentSha256(document) }),
    refused("at expires_at", "document_expired", asked(document, documentKey, NOW + 300)),
    refused("checked 61 seconds in the future", "document_expired", asked(document, documentKey, NOW - 61)),
    refused(
      "a claim to be trusted for a day",
      "document_expired",
      asked({ ...document, expires_at: instantAt(NOW + DAY) }, documentKey, NOW + 300),
    ),
    refused("expires_at moved after signing", "signature_invalid", {
      document: { ...signed(document, documentKey), expires_at: instantAt(NOW + DAY) },
      now: NOW,
    }),
    refused("signed by a retired key", "key_not_in_force", asked(document, retiredKey)),
    refused("signed by a revoked key", "key_not_in_force", asked(document, compromisedKey)),
    refused("signed by the key for consents", "key_purpose_wrong", asked(document, consentKey)),
    refused("signed by a stranger", "signature_missing", asked(document, strangerKey)),
    refused("from a test server", "test_document", asked({ ...document, test: true })),
    invalid("an instant without a zone", { ...document, checked_at: "2027-01-15T08:00:00" }),
    invalid("a negative ttl", { ...document, ttl_seconds: -1 }),
  ];
}

function manifests(): readonly Vector[] {
  const { previous_manifest_sha256: _, ...first } = MANIFEST;
  return [
    accepted("a manifest", asked(MANIFEST), { sha256: documentSha256(MANIFEST) }),
    accepted("the first version has no previous one", asked({ ...first, version: 1 }), {
      sha256: documentSha256({ ...first, version: 1 }),
    }),
    accepted("a member that no reader knows is covered", asked({ ...MANIFEST, note: "new" }), {
      sha256: documentSha256({ ...MANIFEST, note: "new" }),
    }),
    ...missingMembers(MANIFEST, ["previous_manifest_sha256"]),
    invalid("another type", { ...MANIFEST, type: "current-manifest" }),
    invalid("a dataset id with a path in it", { ...MANIFEST, dataset_id: "../ds_1" }),
    invalid("a root in capital letters", { ...MANIFEST, items_root: HASH.toUpperCase() }),
    invalid("a negative count", { ...MANIFEST, items_count: -1 }),
    invalid("a count as text", { ...MANIFEST, consents_count: "1" }),
    invalid("an empty scope", { ...MANIFEST, scope: [] }),
    invalid("a price that is a number", { ...MANIFEST, pricing: { model_use: 1 } }),
    invalid("a price without a unit", { ...MANIFEST, pricing: { model_use: "0.0001" } }),
    invalid("a currency in lower case", { ...MANIFEST, currency: "eur" }),
    invalid("items on no web address", { ...MANIFEST, items_url: "file:///etc/passwd" }),
    invalid("a status that is a state", { ...MANIFEST, status: "active" }),
    refused("a member changed after signing", "signature_invalid", {
      document: { ...signed(MANIFEST, documentKey), items_root: "0".repeat(64) },
      now: NOW,
    }),
    refused("signed by a stranger", "signature_missing", asked(MANIFEST, strangerKey)),
    refused("published after its key was retired", "key_not_in_force", asked(MANIFEST, retiredKey)),
  ];
}

function currentManifests(): readonly Vector[] {
  return [
    accepted("a current manifest", asked(CURRENT), { sha256: documentSha256(CURRENT) }),
    ...presentDocument(CURRENT),
    ...missingMembers(CURRENT, ["previous_manifest_sha256"]),
    invalid("the immutable one in its place", MANIFEST),
    invalid("an unknown state", { ...CURRENT, status: "fine" }),
    invalid("withdrawn entries without a time", { ...CURRENT, withdrawn: [{ jti: JTI }] }),
    invalid("a withdrawn entry that names nothing", { ...CURRENT, withdrawn: [{ at: instantAt(NOW) }] }),
    invalid("a withdrawn jti of another form", { ...CURRENT, withdrawn: [{ at: instantAt(NOW), jti: "c_1" }] }),
    invalid("withdrawn_complete as a number", { ...CURRENT, withdrawn_complete: 1 }),
  ];
}

function datasetStatuses(): readonly Vector[] {
  const states = ["active", "suspended", "revoked", "expired"];
  return [
    accepted("a dataset status", asked(DATASET_STATUS), {
      sha256: documentSha256(DATASET_STATUS),
      status: "partially_revoked",
    }),
    ...states.map((status) =>
      accepted(`status ${status}`, asked({ ...DATASET_STATUS, status }), {
        sha256: documentSha256({ ...DATASET_STATUS, status }),
        status,
      }),
    ),
    ...presentDocument(DATASET_STATUS),
    ...missingMembers(DATASET_STATUS),
    invalid("an unknown state", { ...DATASET_STATUS, status: "withdrawn" }),
    invalid("a state in capital letters", { ...DATASET_STATUS, status: "ACTIVE" }),
    invalid("a revoked token of another form", { ...DATASET_STATUS, revoked_jtis: ["c_1"] }),
    invalid("a negative seq", { ...DATASET_STATUS, seq: -1 }),
  ];
}

function revocationViews(): readonly Vector[] {
  const { next: _, ...last } = REVOCATIONS;
  return [
    accepted("a page of revocations", asked(REVOCATIONS), { sha256: documentSha256(REVOCATIONS) }),
    accepted("the last page", asked(last), { sha256: documentSha256(last) }),
    accepted("no revocation at all", asked({ ...last, revocations: [], status_lists: [] }), {
      sha256: documentSha256({ ...last, revocations: [], status_lists: [] }),
    }),
    ...presentDocument(REVOCATIONS),
    ...missingMembers(REVOCATIONS, ["next"]),
    invalid("a revocation without a time", { ...REVOCATIONS, revocations: [{ jti: JTI }] }),
    invalid("a revocation of something that is no token", {
      ...REVOCATIONS,
      revocations: [{ jti: "c_1", revoked_at: instantAt(NOW) }],
    }),
    invalid("a next page on no web address", { ...REVOCATIONS, next: "/.well-known/consent-revocations/1.json" }),
    invalid("a status list on no web address", { ...REVOCATIONS, status_lists: ["data:text/plain,"] }),
  ];
}

function lines(): readonly Vector[] {
  const item = { content_id: "c_1" };
  const text = token("consent+jwt", { jti: JTI }, anaKey);
  const consent = { position: 0, jti: JTI, token: text, acceptance: { type: "consent-acceptance" } };
  const leaf = { leaf_hash: sha256Hex(Buffer.concat([Buffer.of(0), Buffer.from(text)])) };
  const ofItem = (line: JsonMembers) => ({ kind: "item", line });
  const ofConsent = (line: JsonMembers) => ({ kind: "consent", line });
  return [
    accepted("an item that stands", ofItem({ position: 0, item, jti: JTI })),
    accepted("an item that no longer stands", ofItem({ position: 1, leaf_hash: HASH, withdrawn: true })),
    refused("an item line with a position alone", "document_invalid", ofItem({ position: 0 })),
    refused("an item without its token", "document_invalid", ofItem({ position: 0, item })),
    refused("a token without its item", "document_invalid", ofItem({ position: 0, jti: JTI })),
    refused(
      "an item that both stands and does not",
      "document_invalid",
      ofItem({ position: 0, item, jti: JTI, leaf_hash: HASH, withdrawn: true }),
    ),
    refused(
      "an item that stands and says withdrawn",
      "document_invalid",
      ofItem({ position: 0, item, jti: JTI, withdrawn: true }),
    ),
    refused("a leaf hash that does not say withdrawn", "document_invalid", ofItem({ position: 0, leaf_hash: HASH })),
    refused("withdrawn: false", "document_invalid", ofItem({ position: 0, leaf_hash: HASH, withdrawn: false })),
    refused("an item line without a position", "document_invalid", ofItem({ item, jti: JTI })),
    refused("a leaf hash that is none", "document_invalid", ofItem({ position: 0, leaf_hash: "00", withdrawn: true })),
    refused("an item that is no object", "document_invalid", ofItem({ position: 0, item: "c_1", jti: JTI })),
    accepted("a consent the platform signed", ofConsent(consent), leaf),
    accepted("a consent a creator signed", ofConsent({ ...consent, key: { type: "creator-key" } }), leaf),
    refused("a consent without its acceptance", "document_invalid", ofConsent({ position: 0, jti: JTI, token: text })),
    refused("a consent without its token", "document_invalid", ofConsent({ position: 0, jti: JTI, acceptance: {} })),
    refused("a consent with a key that is no object", "document_invalid", ofConsent({ ...consent, key: anaKey.kid })),
    refused("a consent at a negative position", "document_invalid", ofConsent({ ...consent, position: -1 })),
    refused("a consent with a jti of another form", "document_invalid", ofConsent({ ...consent, jti: "1" })),
  ];
}

export function writeDatasetVectors(): void {
  const shared = { key_set: KEY_SET };
  writeVectors(
    "manifest.json",
    "Immutable manifests, read and verified with `key_set` as made at published_at.",
    manifests(),
    shared,
  );
  writeVectors(
    "current-manifest.json",
    "Current manifests, read, verified with `key_set` and asked for freshness at `now`.",
    currentManifests(),
    shared,
  );
  writeVectors(
    "dataset-status.json",
    "Dataset statuses, read, verified with `key_set` and asked for freshness at `now`.",
    datasetStatuses(),
    shared,
  );
  writeVectors(
    "revocation-view.json",
    "Revocation views, read, verified with `key_set` and asked for freshness at `now`.",
    revocationViews(),
    shared,
  );
  writeVectors(
    "dataset-lines.json",
    "Lines of the items and the consents of a dataset version. `leaf_hash` of a consent is SHA-256(0x00, then the token).",
    lines(),
  );
}
