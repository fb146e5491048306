import { type PrivateJwk, algorithmOf, publicJwkOf, thumbprint } from "@licet/protocol";
import { type Stand, type StagedAnswer, openStand, signOnStage } from "./stage.ts";
import { SITE, WORK, now, privateKey } from "./test-platform.ts";
import type { Line } from "./world.ts";

export const DIRECTORY_PATH = "/.well-known/http-message-signatures-directory";
const DIRECTORY_TYPE = "application/http-message-signatures-directory+json";

export interface SignOptions {
  readonly target?: string;
  readonly headers?: readonly Line[];
  /** Beside `@authority` and the member of Signature-Agent. */
  readonly also?: readonly string[];
  /** In place of everything that is covered. */
  readonly fields?: readonly string[];
  /** In place of the parameters of the same name; undefined leaves one out. */
  readonly params?: Readonly<Record<string, number | string | undefined>>;
  readonly agent?: string;
}

/** A crawler that signs its requests with a library that is not ours, and serves its directory on the stage. */
export interface SigningAgent {
  readonly stand: Stand;
  readonly keyId: string;
  readonly host: string;
  readonly serve: (keys: readonly object[], answer?: StagedAnswer) => Promise<void>;
  readonly publicKey: object;
  readonly sign: (options?: SignOptions) => Promise<readonly Line[]>;
}

export async function openAgent(jwk: PrivateJwk = privateKey("marketplace")): Promise<SigningAgent> {
  const stand = await openStand();
  const [kid, alg] = [thumbprint(publicJwkOf(jwk)), algorithmOf(jwk)];
  const publicKey = { ...publicJwkOf(jwk), use: "sig", kid };
  const serve = (keys: readonly object[], answer: StagedAnswer = {}): Promise<void> =>
    stand.answer({
      [DIRECTORY_PATH]: { headers: { "content-type": DIRECTORY_TYPE }, body: JSON.stringify({ keys }), ...answer },
    });
  await serve([publicKey]);
  return {
    stand,
    serve,
    publicKey,
    keyId: kid,
    host: new URL(stand.origin).host,
    sign: async ({ target = WORK, headers = [], also = [], fields, params = {}, agent } = {}) => {
      const standard = {
        created: now() - 1,
        expires: now() + 300,
        keyid: kid,
        alg: alg === "EdDSA" ? "ed25519" : "ecdsa-p256-sha256",
        nonce: crypto.randomUUID(),
        tag: "web-bot-auth",
      };
      const entries = Object.entries({ ...standard, ...params }).filter(([, value]) => value !== undefined);
      return signOnStage({
        jwk,
        alg: standard.alg,
        keyId: kid,
        fields: fields ?? ["@authority", 'signature-agent;key="sig"', ...also],
        params: Object.fromEntries(entries),
        url: `${SITE}${target}`,
        headers: { ...Object.fromEntries(headers), "signature-agent": agent ?? `sig="${stand.origin}"` },
      });
    },
  };
}
