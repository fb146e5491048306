import { SignJWT, generateKeyPair } from "jose";
import { readFileSync } from "node:fs";
import { createServer } from "node:https";

/** The least a token endpoint does: a bare node:https server that signs a JWT for each request. `bare-tokens.ts <cert> <key>` */
const [certPath = "", keyPath = ""] = process.argv.slice(2);
const { privateKey } = await generateKeyPair("EdDSA", { crv: "Ed25519" });

async function sign(): Promise<string> {
  return new SignJWT({ scope: "datasets:read", client_id: "bench" })
    .setProtectedHeader({ alg: "EdDSA", typ: "at+jwt" })
    .setIssuer("https://localhost")
    .setAudience("https://localhost")
    .setIssuedAt()
    .setExpirationTime("5m")
    .sign(privateKey);
}

const server = createServer(
  { cert: readFileSync(certPath), key: readFileSync(keyPath), minVersion: "TLSv1.3" },
  (request, response) => {
    request.resume();
    request.on("end", () => {
      void sign().then((access_token) =>
        response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify({ access_token })),
      );
    });
  },
);
server.listen(0, "127.0.0.1", () => {
  const address = server.address();
  const port = typeof address === "object" && address !== null ? address.port : 0;
  process.stdout.write(`${JSON.stringify({ ready: true, origin: `https://127.0.0.1:${port}` })}\n`);
});
process.stdin.on("end", () => process.exit(0)).resume();
