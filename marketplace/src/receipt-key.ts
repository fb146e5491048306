import { type PrivateJwk, generatePrivateJwk, parseJsonObject, parsePublicJwk } from "@licet/protocol";
import { existsSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const FILE_NAME = "receipt-key.jwk.json";

/** The key that signs usage receipts: made at the first start, kept in the data folder for its owner alone. */
export async function loadReceiptKey(dataDir: string): Promise<PrivateJwk> {
  const path = join(dataDir, FILE_NAME);
  if (existsSync(path)) return readKey(path);
  const jwk = await generatePrivateJwk("EdDSA");
  // Renamed into place whole, so that a process killed here leaves no half a key.
  writeFileSync(`${path}.new`, JSON.stringify(jwk), { mode: 0o600 });
  renameSync(`${path}.new`, path);
  return jwk;
}

function readKey(path: string): PrivateJwk {
  const parsed = parseJsonObject(readFileSync(path, "utf8"));
  const { d, ...members } = parsed.ok ? parsed.value : {};
  const jwk = parsePublicJwk(members);
  if (!jwk.ok || typeof d !== "string") throw new Error(`${path}: expected a private JWK of kty OKP or EC`);
  return { ...jwk.value, d };
}
