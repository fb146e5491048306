import {
  type Algorithm,
  type PrivateJwk,
  decodeBase64url,
  encodeBase64url,
  generatePrivateJwk,
  parseJsonObject,
  parsePublicJwk,
  signerOf,
  verifySignature,
} from "@licet/protocol";
import { open, readFile, stat } from "node:fs/promises";
import { CommandError, reasonOf } from "./command-error.ts";

const MAX_FILE_BYTES = 4_096;
const OTHERS = 0o077;

/** A creator's private key from a file of theirs; made, for its owner alone, when the file is not there. */
export async function openKeyFile(
  path: string,
  alg: Algorithm,
): Promise<{ readonly jwk: PrivateJwk; readonly isNew: boolean }> {
  const found = await stat(path).catch(() => undefined);
  if (found === undefined) return { jwk: await makeKeyFile(path, alg), isNew: true };
  if ((found.mode & OTHERS) !== 0)
    throw new CommandError(
      `${path}: expected a key that only its owner reads (chmod 600), got mode ${(found.mode & 0o777).toString(8)}`,
    );
  if (found.size > MAX_FILE_BYTES)
    throw new CommandError(`${path}: expected a private key of at most ${MAX_FILE_BYTES} bytes, got ${found.size}`);
  return { jwk: await readPrivateJwk(path), isNew: false };
}

async function makeKeyFile(path: string, alg: Algorithm): Promise<PrivateJwk> {
  const jwk = await generatePrivateJwk(alg);
  try {
    const file = await open(path, "wx", 0o600);
    try {
      await file.writeFile(`${JSON.stringify(jwk)}\n`);
      await file.sync();
    } finally {
      await file.close();
    }
  } catch (error) {
    throw new CommandError(`--key: expected a place for a new key, got ${path} (${reasonOf(error)})`);
  }
  return jwk;
}

const PROBE = new TextEncoder().encode("licet");

/** The two halves must belong together: a signature tells. */
async function readPrivateJwk(path: string): Promise<PrivateJwk> {
  const parsed = parseJsonObject(await readFile(path, "utf8"));
  const d = parsed.ok ? parsed.value["d"] : undefined;
  if (parsed.ok && typeof d === "string" && decodeBase64url(d)?.length === 32) {
    const { d: _d, ...members } = parsed.value;
    const half = parsePublicJwk(members);
    if (half.ok) {
      const jwk = { ...half.value, d };
      const signature = await signatureOf(jwk);
      if (signature !== undefined && (await verifySignature(half.value, PROBE, signature))) return jwk;
    }
  }
  throw new CommandError(`${path}: expected a private key as a JWK (Ed25519 or P-256, with d), got something else`);
}

/** Undefined for a key that the runtime does not take. */
async function signatureOf(jwk: PrivateJwk): Promise<string | undefined> {
  try {
    return encodeBase64url(await (await signerOf(jwk)).sign(PROBE));
  } catch {
    return undefined;
  }
}
