import { X509Certificate } from "node:crypto";
import { rm } from "node:fs/promises";
import { afterAll, describe, expect, test } from "vitest";
import { expectStatus } from "../../../test/fixtures/actors.ts";
import type { Answer } from "../../../test/fixtures/caller.ts";
import { type Pair, makeAuthority, makeSelfSigned } from "../../../test/fixtures/certificates.ts";
import { type Platform, startPlatform } from "../../../test/fixtures/platform.ts";
import { makeFiles } from "../../../test/fixtures/secure-platform.ts";
import { subjectMatches } from "./client-certificates.ts";
import { clientAddressOf, trustedProxiesOf } from "./trusted-proxies.ts";

const authority = await makeAuthority();
const files = await makeFiles(authority);
afterAll(() => rm(files.folder, { recursive: true, force: true }));
const behindProxy = await startPlatform({
  trustedProxies: trustedProxiesOf(["127.0.0.0/8"]),
  mtlsCaPath: files.caPath,
});
const inTheOpen = await startPlatform({ trustedProxies: trustedProxiesOf(["192.0.2.1"]), mtlsCaPath: files.caPath });

/** RFC 9440: a structured-field byte sequence. */
function item(pem: string): string {
  return `:${new X509Certificate(pem).raw.toString("base64")}:`;
}

async function register(platform: Platform, members: object): Promise<string> {
  const input = { name: "Behind a proxy", scopes: ["content:read"], ...members };
  return expectStatus(await platform.operator.post("/api/v1/clients", input), 201).body.client_id;
}

async function askForToken(platform: Platform, clientId: string, headers: Record<string, string>): Promise<Answer> {
  return platform.anonymous.send("POST", "/oauth/token", {
    body: new URLSearchParams({
      grant_type: "client_credentials",
      client_id: clientId,
      scope: "content:read",
    }).toString(),
    headers: { "content-type": "application/x-www-form-urlencoded", ...headers },
  });
}

async function ownCertificate(platform: Platform): Promise<{ readonly pair: Pair; readonly clientId: string }> {
  const pair = await makeSelfSigned({ name: "CN=Own" });
  const members = { token_endpoint_auth_method: "self_signed_tls_client_auth", certificate: pair.cert };
  return { pair, clientId: await register(platform, members) };
}

describe("Client-Cert (RFC 9440)", () => {
  test("is believed of a proxy that we trust: at the token endpoint, and for each use of the token", async () => {
    const { pair, clientId } = await ownCertificate(behindProxy);
    const other = await makeSelfSigned({ name: "CN=Own" });
    const { access_token } = expectStatus(
      await askForToken(behindProxy, clientId, { "client-cert": item(pair.cert) }),
      200,
    ).body;
    const caller = behindProxy.as(access_token);
    expectStatus(await caller.get("/api/v1/content", { "client-cert": item(pair.cert) }), 200);
    for (const headers of [{}, { "client-cert": item(other.cert) }, { "client-cert": ":AAAA:" }])
      expect(await caller.get("/api/v1/content", headers)).toMatchObject({
        status: 401,
        body: { code: "token_unbound" },
      });
    expect(await askForToken(behindProxy, clientId, { "client-cert": item(other.cert) })).toMatchObject({
      status: 401,
      body: { error: "invalid_client" },
    });
  });

  test("is worth nothing from anybody else", async () => {
    const { pair, clientId } = await ownCertificate(inTheOpen);
    for (const headers of [
      { "client-cert": item(pair.cert) },
      { "Client-Cert": item(pair.cert), "x-forwarded-for": "192.0.2.1" },
      { "client-cert": item(pair.cert), forwarded: "for=192.0.2.1" },
    ])
      expect(await askForToken(inTheOpen, clientId, headers)).toMatchObject({
        status: 401,
        body: { error: "invalid_client" },
      });
  });

  test.each<[what: string, write: (pem: string) => string]>([
    ["is not a byte sequence", (pem) => item(pem).slice(1, -1)],
    ["is a list of two", (pem) => `${item(pem)}, ${item(pem)}`],
    ["has parameters", (pem) => `${item(pem)};a=1`],
    ["is PEM in a URL's escapes", (pem) => encodeURIComponent(pem)],
    ["is cut short", (pem) => `${item(pem).slice(0, 200)}:`],
    ["is empty", () => "::"],
    ["is longer than any certificate", () => `:${"A".repeat(13_000)}:`],
  ])("that %s is no certificate", async (_what, write) => {
    const { pair, clientId } = await ownCertificate(behindProxy);
    expect((await askForToken(behindProxy, clientId, { "client-cert": write(pair.cert) })).status).toBe(401);
  });

  test("of an authority that we know is believed with its chain, and not without it", async () => {
    const below = await authority.delegate("CN=Below");
    const pair = await below.issue({ name: "CN=Deep", alternativeNames: [{ type: "dns", value: "deep.example" }] });
    const clientId = await register(behindProxy, {
      token_endpoint_auth_method: "tls_client_auth",
      tls_client_auth_san_dns: "deep.example",
    });
    const withChain = { "client-cert": item(pair.cert), "client-cert-chain": item(below.cert) };
    expectStatus(await askForToken(behindProxy, clientId, withChain), 200);
    expect((await askForToken(behindProxy, clientId, { "client-cert": item(pair.cert) })).status).toBe(401);
    const stranger = await (await makeAuthority()).delegate("CN=Below");
    const forged = await stranger.issue({
      name: "CN=Deep",
      alternativeNames: [{ type: "dns", value: "deep.example" }],
    });
    for (const chain of [item(stranger.cert), item(below.cert), `${item(stranger.cert)}, ${item(below.cert)}`])
      expect(
        (await askForToken(behindProxy, clientId, { "client-cert": item(forged.cert), "client-cert-chain": chain }))
          .status,
      ).toBe(401);
    const notAnAuthority = await authority.issue({ name: "CN=Below" });
    expect(
      (
        await askForToken(behindProxy, clientId, {
          "client-cert": item(forged.cert),
          "client-cert-chain": item(notAnAuthority.cert),
        })
      ).status,
    ).toBe(401);
  });
});

describe("the address of a client", () => {
  const trusted = trustedProxiesOf(["10.0.0.0/8", "192.0.2.1", "2001:db8::/32"]);
  const hop = { peer: "10.0.0.1", forwarded: undefined, xForwardedFor: undefined };

  test.each<[xForwardedFor: string, address: string]>([
    ["203.0.113.9", "203.0.113.9"],
    ["198.51.100.1, 203.0.113.9", "203.0.113.9"],
    ["198.51.100.1, 203.0.113.9, 10.1.1.1", "203.0.113.9"],
    ["203.0.113.9, 192.0.2.1, 2001:db8::5", "203.0.113.9"],
    ["203.0.113.9:4711", "203.0.113.9"],
    ["[2001:4860::1]:4711", "2001:4860::1"],
    ["2001:4860:0:0:0:0:0:1", "2001:4860::1"],
    ["::ffff:203.0.113.9", "203.0.113.9"],
    ["10.1.1.1", "10.1.1.1"],
    ["", "10.0.0.1"],
    ["unknown", "10.0.0.1"],
    ["203.0.113.9, garbage", "10.0.0.1"],
    ["203.0.113.9, 0xcb.1, 10.1.1.1", "10.1.1.1"],
    ["3405803785", "10.0.0.1"],
    ["0300.0.2.1", "10.0.0.1"],
  ])("behind X-Forwarded-For: %j is %s", (xForwardedFor, address) => {
    expect(clientAddressOf({ ...hop, xForwardedFor }, trusted)).toBe(address);
  });

  test.each<[forwarded: string, address: string]>([
    ["for=203.0.113.9", "203.0.113.9"],
    ['For="[2001:4860::1]:4711";proto=https;by=10.0.0.1', "2001:4860::1"],
    ["for=198.51.100.1, for=203.0.113.9;proto=http", "203.0.113.9"],
    ['for=198.51.100.1, for="_hidden, for=1.2.3.4"', "10.0.0.1"],
    ["for=unknown", "10.0.0.1"],
    ["proto=https", "10.0.0.1"],
  ])("behind Forwarded: %j is %s", (forwarded, address) => {
    expect(clientAddressOf({ ...hop, forwarded }, trusted)).toBe(address);
  });

  test("is who connects, when that is no proxy of ours, whatever it says", () => {
    const said = { forwarded: "for=10.0.0.1", xForwardedFor: "10.0.0.1" };
    expect(clientAddressOf({ ...said, peer: "203.0.113.9" }, trusted)).toBe("203.0.113.9");
    expect(clientAddressOf({ ...said, peer: "::ffff:203.0.113.9" }, trusted)).toBe("203.0.113.9");
    expect(clientAddressOf({ ...said, peer: "203.0.113.9" }, trustedProxiesOf([]))).toBe("203.0.113.9");
  });

  test("is taken from X-Forwarded-For when a forged Forwarded stands beside it", () => {
    expect(clientAddressOf({ ...hop, forwarded: "for=1.2.3.4", xForwardedFor: "203.0.113.9" }, trusted)).toBe(
      "203.0.113.9",
    );
  });
});

test("the name of a certificate is compared part by part, not as a text", async () => {
  const { cert } = await makeSelfSigned({ name: "C=NL, O=Stranger\\, Inc., CN=client.example" });
  const certificate = new X509Certificate(cert);
  const matches = (dn: string): boolean => subjectMatches(certificate, "tls_client_auth_subject_dn", dn);
  expect(
    ["CN=client.example,O=Stranger\\, Inc.,C=NL", "cn=client.example, o=Stranger\\, Inc., c=NL"].map(matches),
  ).toEqual([true, true]);
  for (const wrong of [
    "",
    "CN=client.example",
    "C=NL,O=Stranger\\, Inc.,CN=client.example",
    "CN=client.example,O=Stranger,O= Inc.,C=NL",
    "CN=Client.example,O=Stranger\\, Inc.,C=NL",
    "CN=client.example,O=Stranger\\, Inc.,C=NL,C=NL",
  ])
    expect(matches(wrong)).toBe(false);
});
