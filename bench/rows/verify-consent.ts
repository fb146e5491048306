import {
  type Algorithm,
  type ConsentKey,
  type JsonObject,
  formatInstant,
  generatePrivateJwk,
  parseConsentToken,
  publicJwkOf,
  sha256Hex,
  signCompactJws,
  signerOf,
  verifyConsentSignature,
} from "@licet/protocol";
import { importJWK, jwtVerify } from "jose";
import { type BenchSettings, type Row, byTurns, digits, median, ratioOf } from "../row.ts";

const ROUNDS = 100;
const WARM_UP_ROUNDS = 3;
const TOKENS_PER_ROUND = 100;
const BUDGET = 0.85;
const ORIGIN = "https://licet.example.org";
const YEAR_SECONDS = 365 * 86_400;

/** Verifying a consent against bare `jose.jwtVerify` with the same key. */
export async function measureVerifyConsent(settings: BenchSettings): Promise<readonly Row[]> {
  return [await measureAlgorithm("EdDSA", settings), await measureAlgorithm("ES256", settings)];
}

async function measureAlgorithm(alg: Algorithm, { isQuick }: BenchSettings): Promise<Row> {
  const jwk = await generatePrivateJwk(alg);
  const signer = await signerOf(jwk);
  const now = Math.floor(Date.now() / 1_000);
  const token = await signCompactJws("consent+jwt", sampleClaims(alg, now), signer);
  const key: ConsentKey = {
    kid: signer.kid,
    alg,
    jwk: publicJwkOf(jwk),
    not_before: formatInstant(now - 60),
    not_after: formatInstant(now + YEAR_SECONDS),
    owner: { kind: "creator", creatorId: "user:1001" },
  };
  const joseKey = await importJWK({ ...publicJwkOf(jwk), alg }, alg);
  const ours = async (): Promise<void> => {
    for (let count = 0; count < TOKENS_PER_ROUND; count += 1) {
      const jws = parseConsentToken(token);
      const verified = jws.ok
        ? await verifyConsentSignature(token, jws.value, { origin: ORIGIN, key, madeAt: now })
        : jws;
      if (!verified.ok) throw new Error(`${verified.refusal.code}: ${verified.refusal.detail}`);
    }
  };
  const bare = async (): Promise<void> => {
    for (let count = 0; count < TOKENS_PER_ROUND; count += 1) await jwtVerify(token, joseKey);
  };
  await byTurns(WARM_UP_ROUNDS, ours, bare);
  const rounds = isQuick ? WARM_UP_ROUNDS : ROUNDS;
  const samples = await byTurns(rounds, ours, bare);
  const perSecond = (times: readonly number[]): number => (TOKENS_PER_ROUND / median(times)) * 1_000;
  // Times, so the baseline's to ours: how many of ours go into one of the baseline's.
  const ratio = ratioOf({ ours: samples.baseline, baseline: samples.ours });
  return {
    what: `verify a consent, uncached, ${alg}`,
    budget: `≥ ${BUDGET} × bare \`jose.jwtVerify\` with the same key`,
    ours: `${digits(perSecond(samples.ours))}/s`,
    baseline: `${digits(perSecond(samples.baseline))}/s`,
    ratio: ratio.text,
    holds: ratio.median >= BUDGET,
    how: `${rounds} rounds of ${TOKENS_PER_ROUND} tokens by turns, medians, and the median of the rounds' ratios. Ours checks syntax, header, key, signature and every claim; the baseline the signature and the times.`,
  };
}

function sampleClaims(alg: Algorithm, now: number): JsonObject {
  return {
    iss: `${ORIGIN}/creators/user:1001`,
    sub: "creator:user:1001",
    scope: ["training", "commercial"],
    consent_version: "1.0.0",
    iat: now,
    exp: now + YEAR_SECONDS,
    jti: `ctok_${"A".repeat(22)}`,
    sig_alg: alg,
    status: { status_list: { idx: 4_711, uri: `${ORIGIN}/status-lists/1` } },
    license: "paid_training:1.0",
    terms_sha256: sha256Hex("terms"),
    price_floor: "per-token:0.0001",
  };
}
