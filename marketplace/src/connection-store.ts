import { decodeBase64, isIdentifier, isOrigin } from "@licet/protocol";
import { MARKETPLACE_SCOPE } from "@licet/sdk";
import { z } from "zod";
import type { Store } from "./store.ts";

const LOOPBACK = new Set(["127.0.0.1", "[::1]", "localhost"]);

/** True for an origin that client credentials may be sent to: https, or this machine. */
function isConfidentialOrigin(text: string): boolean {
  return isOrigin(text) && (text.startsWith("https:") || LOOPBACK.has(new URL(text).hostname));
}

const SECRET_PREFIX = "whsec_";

function isWebhookSecret(text: string): boolean {
  const length = text.startsWith(SECRET_PREFIX) ? decodeBase64(text.slice(SECRET_PREFIX.length))?.length : undefined;
  return length !== undefined && length >= 24 && length <= 64;
}

/** What the platform's operator hands over once the marketplace is registered there. */
export const connectionShape = z.object({
  origin: z.string().refine(isConfidentialOrigin, "expected an https origin, or one of this machine"),
  marketplace_id: z.string().refine(isIdentifier, "expected an identifier"),
  client_id: z.string().min(1).max(256),
  client_secret: z.string().min(1).max(1_024),
  scope: z.string().max(4_096).default(MARKETPLACE_SCOPE),
  webhook_secret: z.string().refine(isWebhookSecret, "expected whsec_ and 24 to 64 bytes in base64"),
});

export type Connection = z.infer<typeof connectionShape>;

export function loadConnection(store: Store): Connection | undefined {
  const [row] = store.all(z.object({ body: z.string() }), "select body from connection where id = 1");
  return row === undefined ? undefined : connectionShape.parse(JSON.parse(row.body));
}

export function saveConnection(store: Store, connection: Connection): void {
  store.run(
    "insert into connection (id, body) values (1, ?) on conflict (id) do update set body = excluded.body",
    JSON.stringify(connection),
  );
}
