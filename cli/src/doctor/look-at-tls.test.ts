import { once } from "node:events";
import { type Server, type TlsOptions, createServer, getCACertificates, setDefaultCACertificates } from "node:tls";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { type Authority, makeAuthority, makeSelfSigned, makeServerPair } from "../../../test/fixtures/certificates.ts";
import { lookAtTls } from "./look-at-tls.ts";

const DAY_MS = 86_400_000;
const believed = getCACertificates("default");
let authority: Authority;
let server: Server | undefined;

beforeAll(async () => {
  authority = await makeAuthority();
  setDefaultCACertificates([...believed, authority.cert]);
});
afterEach(() => void server?.close());
afterAll(() => setDefaultCACertificates(believed));

async function serve(options: TlsOptions): Promise<string> {
  server = createServer(options, (socket) => socket.end());
  server.on("tlsClientError", () => undefined);
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  return `https://localhost:${typeof address === "object" ? address?.port : ""}`;
}

describe("TLS as readers meet it", () => {
  it("is good when it is 1.3 alone, with a chain that is believed", async () => {
    const origin = await serve({ ...(await makeServerPair(authority)), minVersion: "TLSv1.3" });
    expect(await lookAtTls(origin, Date.now())).toMatchObject({ outcome: "ok" });
  });

  it("is a warning when 1.2 is taken, too, and wrong when nothing newer is", async () => {
    const pair = await makeServerPair(authority);
    expect(await lookAtTls(await serve(pair), Date.now())).toMatchObject({
      outcome: "warning",
      detail: expect.stringContaining("TLS 1.2 is taken, too"),
    });
    server?.close();
    expect(await lookAtTls(await serve({ ...pair, maxVersion: "TLSv1.2" }), Date.now())).toMatchObject({
      outcome: "wrong",
      detail: expect.stringContaining("expected TLS 1.3, got TLSv1.2"),
    });
  });

  it("is wrong when nobody vouches for the certificate", async () => {
    const origin = await serve({
      ...(await makeSelfSigned({ name: "CN=localhost", usage: "server" })),
      minVersion: "TLSv1.3",
    });
    expect(await lookAtTls(origin, Date.now())).toMatchObject({
      outcome: "wrong",
      detail: expect.stringContaining("the certificate is not believed"),
    });
  });

  it("counts the days that a certificate has left", async () => {
    const pair = await authority.issue({
      name: "CN=localhost",
      alternativeNames: [{ type: "dns", value: "localhost" }],
      usage: "server",
      validDays: { from: -1, to: 20 },
    });
    const origin = await serve({ ...pair, minVersion: "TLSv1.3" });
    expect(await lookAtTls(origin, Date.now())).toMatchObject({ outcome: "warning" });
    expect(await lookAtTls(origin, Date.now() + 15 * DAY_MS)).toMatchObject({ outcome: "wrong" });
    expect(await lookAtTls(origin, Date.now() + 30 * DAY_MS)).toMatchObject({
      outcome: "wrong",
      detail: expect.stringMatching(/ended \d+ days ago/),
    });
  });

  it("is wrong when nobody is there, and no question over plain http", async () => {
    expect(await lookAtTls("https://localhost:1", Date.now())).toMatchObject({ outcome: "wrong" });
    expect(await lookAtTls("http://localhost:1", Date.now())).toBeUndefined();
  });
});
