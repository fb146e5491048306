import { type JsonMembers, type TestKey, signed, testKey } from "./vector-writing.ts";

/** The platform, its keys and the moment that all signed vectors share. */
export const ORIGIN = "https://platform.example";
/** 2027-01-15T08:00:00Z */
export const NOW = 1_800_000_000;
export const DAY = 86_400;
export const LIFETIME = { not_before: "2026-01-01T00:00:00Z", not_after: "2030-01-01T00:00:00Z" };
export const JTI = "ctok_AAECAwQFBgcICQoLDA0ODw";
export const OTHER_JTI = "ctok_AQECAwQFBgcICQoLDA0ODw";
export const HASH = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";
export const STATUS = { status_list: { idx: 7, uri: `${ORIGIN}/status-lists/1` } };

export const consentKey = testKey("platform_consent");
export const documentKey = testKey("platform_document");
export const documentKeyEs256 = testKey("platform_document_es256");
export const retiredKey = testKey("platform_document_retired");
export const compromisedKey = testKey("platform_document_compromised");
export const receiptKey = testKey("platform_receipt");
export const licenseKey = testKey("platform_license");
export const anaKey = testKey("creator_ana");
export const bramKey = testKey("creator_bram");
export const marketplaceKey = testKey("marketplace");
export const strangerKey = testKey("stranger");

export function instantAt(epochSeconds: number): string {
  return new Date(epochSeconds * 1000).toISOString().replace(".000Z", "Z");
}

export const CLOCKS = { checked_at: instantAt(NOW), ttl_seconds: 15, expires_at: instantAt(NOW + 300) };

export function keyEntry(key: TestKey, purpose: string, members: JsonMembers = {}): JsonMembers {
  return {
    ...key.publicJwk,
    kid: key.kid,
    alg: key.alg,
    use: "sig",
    purpose,
    status: "active",
    ...LIFETIME,
    ...members,
  };
}

export const KEY_ENTRIES: readonly JsonMembers[] = [
  keyEntry(consentKey, "consent"),
  keyEntry(documentKey, "document"),
  keyEntry(documentKeyEs256, "document"),
  keyEntry(retiredKey, "document", { status: "retired", not_after: "2026-07-01T00:00:00Z" }),
  keyEntry(compromisedKey, "document", {
    status: "revoked",
    revoked_at: "2026-10-01T00:00:00Z",
    compromised_since: "2026-09-01T00:00:00Z",
  }),
  keyEntry(receiptKey, "receipt"),
];

export const UNSIGNED_KEY_SET: JsonMembers = { type: "key-set", iss: ORIGIN, seq: 3, keys: KEY_ENTRIES };

/** The key set of the platform, as published. */
export const KEY_SET = signed(UNSIGNED_KEY_SET, documentKey);
