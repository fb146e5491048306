import {
  type JsonObject,
  type LicenseClaims,
  type PrivateJwk,
  STATUS_LIST_BYTES,
  type Signer,
  canonicalize,
  clocksAt,
  compressStatusList,
  contentStatusClocksAt,
  contentStatusPath,
  formatInstant,
  keyEntry,
  publicJwkOf,
  setStatusAt,
  sha256Hex,
  signDocument,
  signLicenseToken,
  signStatusList,
  signerOf,
} from "@licet/protocol";
import testKeys from "../../../protocol/vectors/keys.json" with { type: "json" };
import { type Stand, type StagedAnswer, openStand } from "./stage.ts";

/** The site that the edge stands in front of. */
export const SITE = "https://works.example";
export const WORK = "/songs/1";
export const WORK_URL = `${SITE}${WORK}`;

/** Places in the one status list of the tests. */
export const PLACES = { item: 11, dataset: 12, consent: 13, license: 14, otherDataset: 15, otherConsent: 16 } as const;

type TestKeyName = keyof typeof testKeys.keys;

export function privateKey(name: TestKeyName): PrivateJwk {
  return testKeys.keys[name].jwk as PrivateJwk;
}

export function now(): number {
  return Math.floor(Date.now() / 1_000);
}

/** A platform of which the test decides every document, served by a server on the stage. */
export interface TestPlatform {
  readonly stand: Stand;
  readonly origin: string;
  readonly listUri: string;
  readonly publish: (answers: Readonly<Record<string, StagedAnswer>>) => Promise<void>;
  readonly publishKeys: (options?: { readonly seq?: number }) => Promise<void>;
  /** The list with these places set; `signer` and `made` say by whom and when. */
  readonly publishList: (statuses?: Readonly<Record<number, number>>, options?: SigningOptions) => Promise<void>;
  readonly publishContent: (
    members?: JsonObject,
    options?: SigningOptions & { readonly url?: string },
  ) => Promise<void>;
  readonly grant: (members?: JsonObject) => JsonObject;
  readonly license: (claims?: Partial<LicenseClaims>, signer?: Signer) => Promise<string>;
  readonly signer: (name: TestKeyName) => Promise<Signer>;
}

export interface SigningOptions {
  readonly seq?: number;
  readonly signer?: TestKeyName;
  readonly made?: number;
  readonly etag?: string;
  /** Of the answer, beside the entity tag. */
  readonly headers?: Readonly<Record<string, string>>;
}

const LIFETIME = { not_before: "2026-01-01T00:00:00Z", not_after: "2030-01-01T00:00:00Z" };

async function deflate(bytes: Uint8Array<ArrayBuffer>): Promise<Uint8Array<ArrayBuffer>> {
  const stream = new Blob([bytes]).stream().pipeThrough(new CompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

/** Opens a platform with a work, one dataset that holds it, and nothing taken back. */
export async function openPlatform(): Promise<TestPlatform> {
  const stand = await openStand();
  const { origin } = stand;
  const listUri = `${origin}/status-lists/1`;
  const signer = (name: TestKeyName): Promise<Signer> => signerOf(privateKey(name));
  const place = (idx: number): JsonObject => ({ status_list: { idx, uri: listUri } });
  const grant = (members: JsonObject = {}): JsonObject => ({
    dataset_id: "ds_1",
    version: 3,
    scope: ["training_text", "commercial"],
    jti: "ctok_AAECAwQFBgcICQoLDA0ODw",
    expires_at: formatInstant(now() + 90 * 86_400),
    dataset_status: place(PLACES.dataset),
    consent_status: place(PLACES.consent),
    ...members,
  });
  const platform: TestPlatform = {
    stand,
    origin,
    listUri,
    signer,
    grant,
    publish: stand.answer,
    publishKeys: async ({ seq = 1 } = {}) => {
      const document = await signDocument("key-set", origin, keySet(seq), await signer("platform_document"));
      await stand.answer({ "/.well-known/keys.json": { body: canonicalize(document) } });
    },
    publishList: async (statuses = {}, options = {}) => {
      const { seq = 1, signer: name = "platform_document", made = now(), etag, headers = {} } = options;
      const bits = new Uint8Array(STATUS_LIST_BYTES);
      for (const [idx, value] of Object.entries(statuses)) setStatusAt(bits, Number(idx), value);
      const lst = await compressStatusList(bits, deflate);
      const body = await signStatusList({ uri: listUri, iss: origin, seq, iat: made, lst }, await signer(name));
      await stand.answer({
        "/status-lists/1": { body, headers: { ...headers, ...(etag === undefined ? {} : { etag }) } },
      });
    },
    publishContent: async (members = {}, options = {}) => {
      const { seq = 1, signer: name = "platform_document", made = now(), url = WORK_URL } = options;
      const content: JsonObject = {
        url,
        url_sha256: sha256Hex(url),
        content_id: "c_1",
        modality: "text",
        seq,
        status: place(PLACES.item),
        grants: [grant()],
        ...contentStatusClocksAt(made),
        ...members,
      };
      const body = canonicalize(await signDocument("content-status", origin, content, await signer(name)));
      await stand.answer({ [contentStatusPath(WORK_URL)]: { body } });
    },
    license: async (claims = {}, by) => {
      const iat = now() - 10;
      const standard: LicenseClaims = {
        iss: origin,
        sub: "mkt_1",
        aud: [SITE],
        jti: "lic_1",
        dataset_id: "ds_1",
        dataset_version: 2,
        scope: ["training_text", "commercial"],
        model: { model_id: "model_1", fingerprint: "00".repeat(32) },
        license: "paid_training:1.0",
        agreement: "marketplace:1.0",
        iat,
        exp: iat + 900,
        status: { status_list: { idx: PLACES.license, uri: listUri } },
      };
      return signLicenseToken({ ...standard, ...claims }, by ?? (await signer("platform_license")));
    },
  };
  await platform.publishKeys();
  await platform.publishList();
  await platform.publishContent();
  return platform;
}

function keySet(seq: number): JsonObject {
  const entry = (name: TestKeyName, purpose: "document" | "license" | "consent"): JsonObject => {
    const { kid, alg } = testKeys.keys[name];
    const jwk = publicJwkOf(privateKey(name));
    return keyEntry({ kid, alg: alg === "ES256" ? "ES256" : "EdDSA", jwk, purpose, status: "active", ...LIFETIME });
  };
  return {
    seq,
    keys: [
      entry("platform_document", "document"),
      entry("platform_license", "license"),
      entry("platform_consent", "consent"),
    ],
    ...clocksAt(now()),
  };
}
