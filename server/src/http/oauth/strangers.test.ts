import * as oauth from "oauth4webapi";
import { describe, expect, test } from "vitest";
import { expectStatus } from "../../../../test/fixtures/actors.ts";
import { type Pair, makeAuthority, makeSelfSigned } from "../../../../test/fixtures/certificates.ts";
import { startSecurePlatform } from "../../../../test/fixtures/secure-platform.ts";

/* A client library we did not write, over TLS, by every way of showing who one is. */
const platform = await startSecurePlatform();
const issuer = new URL(`${platform.origin}/oauth`);
const SCOPE = "content:read";
const API = new URL(`${platform.origin}/api/v1/content`);

/** The library's own fetch, with the server's authority and perhaps a certificate of the client. */
function by(client?: Pair) {
  const fetchBy = platform.fetchBy(client);
  return {
    [oauth.customFetch]: async (url: string, init: oauth.CustomFetchOptions<string, unknown>): Promise<Response> => {
      const { body } = init;
      return fetchBy(url, {
        method: init.method,
        headers: { ...init.headers },
        ...(body === null || body === undefined ? {} : { body: String(body) }),
      });
    },
  };
}

async function discover(): Promise<oauth.AuthorizationServer> {
  const response = await oauth.discoveryRequest(issuer, { algorithm: "oauth2", ...by() });
  return oauth.processDiscoveryResponse(issuer, response);
}
const server = await discover();

async function register(members: object): Promise<{ readonly client_id: string; readonly client_secret?: string }> {
  const input = { name: "Stranger", scopes: [SCOPE], ...members };
  return expectStatus(await platform.operator.post("/api/v1/clients", input), 201).body;
}

interface Asking {
  readonly client: oauth.Client;
  readonly authentication: oauth.ClientAuth;
  readonly certificate?: Pair;
  readonly dpop?: oauth.DPoPHandle;
}

/** As the library's examples do it, with a second try when the server names a nonce. */
async function getToken({ client, authentication, certificate, dpop }: Asking): Promise<oauth.TokenEndpointResponse> {
  const ask = async (): Promise<oauth.TokenEndpointResponse> => {
    const response = await oauth.clientCredentialsGrantRequest(
      server,
      client,
      authentication,
      new URLSearchParams({ scope: SCOPE }),
      { ...by(certificate), ...(dpop === undefined ? {} : { DPoP: dpop }) },
    );
    return oauth.processClientCredentialsResponse(server, client, response);
  };
  return ask().catch((error: unknown) => {
    if (dpop === undefined || !oauth.isDPoPNonceError(error)) throw error;
    return ask();
  });
}

async function callApi(
  token: oauth.TokenEndpointResponse,
  {
    certificate,
    dpop,
    url = API,
  }: { readonly certificate?: Pair; readonly dpop?: oauth.DPoPHandle; readonly url?: URL } = {},
): Promise<number> {
  const ask = async (): Promise<Response> =>
    oauth.protectedResourceRequest(token.access_token, "GET", url, undefined, undefined, {
      ...by(certificate),
      ...(dpop === undefined ? {} : { DPoP: dpop }),
    });
  const response = await ask().catch((error: unknown) => {
    if (dpop === undefined || !oauth.isDPoPNonceError(error)) throw error;
    return ask();
  });
  return response.status;
}

test("metadata of the server (RFC 8414) and of the API (RFC 9728) lead to each other", async () => {
  expect(server).toMatchObject({
    issuer: issuer.href,
    token_endpoint: `${platform.origin}/oauth/token`,
    token_endpoint_auth_methods_supported: [
      "client_secret_basic",
      "private_key_jwt",
      "tls_client_auth",
      "self_signed_tls_client_auth",
    ],
    token_endpoint_auth_signing_alg_values_supported: ["ES256", "Ed25519", "EdDSA"],
    dpop_signing_alg_values_supported: ["ES256", "Ed25519", "EdDSA"],
    tls_client_certificate_bound_access_tokens: true,
    mtls_endpoint_aliases: { token_endpoint: `${platform.mtlsOrigin}/oauth/token` },
  });
  expect(server.authorization_endpoint).toBeUndefined();
  const resource = new URL(platform.origin);
  const response = await oauth.resourceDiscoveryRequest(resource, by());
  expect(await oauth.processResourceDiscoveryResponse(resource, response)).toMatchObject({
    resource: platform.origin,
    authorization_servers: [issuer.href],
    bearer_methods_supported: ["header"],
    tls_client_certificate_bound_access_tokens: true,
  });
  const challenge = await platform.as("").get("/api/v1/content", { authorization: "Bearer x" });
  expect(challenge.headers.get("www-authenticate")).toContain(
    `resource_metadata="${platform.origin}/.well-known/oauth-protected-resource"`,
  );
});

test("client_secret_basic: a secret", async () => {
  const { client_id, client_secret = "" } = await register({});
  const token = await getToken({ client: { client_id }, authentication: oauth.ClientSecretBasic(client_secret) });
  expect(token).toMatchObject({ token_type: "bearer", expires_in: 300, scope: SCOPE });
  expect(await callApi(token)).toBe(200);
});

test.each(["ES256", "Ed25519"])("private_key_jwt: an assertion signed with %s", async (alg) => {
  const { publicKey, privateKey } = await oauth.generateKeyPair(alg);
  const jwk = await crypto.subtle.exportKey("jwk", publicKey);
  const { client_id, client_secret } = await register({
    token_endpoint_auth_method: "private_key_jwt",
    jwks: { keys: [{ ...jwk, kid: "first" }] },
  });
  expect(client_secret).toBeUndefined();
  const authentication = oauth.PrivateKeyJwt({ key: privateKey, kid: "first" });
  const token = await getToken({ client: { client_id }, authentication });
  expect(await callApi(token)).toBe(200);
});

describe("a certificate", () => {
  const mutual = { use_mtls_endpoint_aliases: true };

  async function expectBound(client_id: string, certificate: Pair): Promise<void> {
    const client = { client_id, ...mutual };
    const token = await getToken({ client, authentication: oauth.TlsClientAuth(), certificate });
    const url = new URL(`${platform.mtlsOrigin}/api/v1/content`);
    expect(await callApi(token, { certificate, url })).toBe(200);
    const other = await makeSelfSigned({ name: "CN=Somebody else" });
    await expect(callApi(token, { certificate: other, url })).rejects.toMatchObject({ status: 401 });
    await expect(callApi(token, { url })).rejects.toMatchObject({ status: 401 });
    await expect(callApi(token, { certificate })).rejects.toMatchObject({ status: 401 });
  }

  test("self_signed_tls_client_auth: that the client made, which its tokens are bound to", async () => {
    const certificate = await makeSelfSigned({ name: "CN=Stranger" });
    const { client_id } = await register({
      token_endpoint_auth_method: "self_signed_tls_client_auth",
      certificate: certificate.cert,
    });
    await expectBound(client_id, certificate);
  });

  test.each<[member: string, value: string]>([
    ["tls_client_auth_subject_dn", "CN=client.example,O=Stranger\\, Inc.,C=NL"],
    ["tls_client_auth_san_dns", "client.example"],
    ["tls_client_auth_san_uri", "urn:example:client,1"],
    ["tls_client_auth_san_ip", "192.0.2.7"],
    ["tls_client_auth_san_email", "client@client.example"],
  ])("tls_client_auth: of an authority that we know, by its %s", async (member, value) => {
    const certificate = await platform.authority.issue({
      name: "C=NL, O=Stranger\\, Inc., CN=client.example",
      alternativeNames: [
        { type: "dns", value: "client.example" },
        { type: "url", value: "urn:example:client,1" },
        { type: "ip", value: "192.0.2.7" },
        { type: "email", value: "client@client.example" },
      ],
    });
    const { client_id } = await register({ token_endpoint_auth_method: "tls_client_auth", [member]: value });
    await expectBound(client_id, certificate);
  });

  test("with the right names opens nothing when it comes from elsewhere, is too old, is for servers, or is another's", async () => {
    const names = { name: "CN=client.example", alternativeNames: [{ type: "dns" as const, value: "client.example" }] };
    const { client_id } = await register({
      token_endpoint_auth_method: "tls_client_auth",
      tls_client_auth_san_dns: "client.example",
    });
    const client = { client_id, ...mutual };
    const wrong = [
      await (await makeAuthority()).issue(names),
      await makeSelfSigned(names),
      await platform.authority.issue({ ...names, validDays: { from: -9, to: -2 } }),
      await platform.authority.issue({ ...names, usage: "server" }),
      await platform.authority.issue({ name: "CN=client.example" }),
      await platform.authority.issue({ ...names, alternativeNames: [{ type: "dns", value: "client.example.evil" }] }),
    ];
    for (const certificate of wrong)
      await expect(getToken({ client, authentication: oauth.TlsClientAuth(), certificate })).rejects.toMatchObject({
        error: "invalid_client",
      });
    await expect(getToken({ client, authentication: oauth.TlsClientAuth() })).rejects.toMatchObject({
      error: "invalid_client",
    });
    await expect(
      getToken({
        client: { client_id },
        authentication: oauth.TlsClientAuth(),
        certificate: await platform.authority.issue(names),
      }),
    ).rejects.toMatchObject({ error: "invalid_client" });
  });

  test("is asked of a client that has a secret too, when it wants its tokens bound", async () => {
    const { client_id, client_secret = "" } = await register({ tls_client_certificate_bound_access_tokens: true });
    const client = { client_id, ...mutual };
    const authentication = oauth.ClientSecretBasic(client_secret);
    await expect(getToken({ client, authentication })).rejects.toMatchObject({ error: "invalid_grant" });
    const certificate = await makeSelfSigned({ name: "CN=Whoever" });
    const token = await getToken({ client, authentication, certificate });
    const url = new URL(`${platform.mtlsOrigin}/api/v1/content`);
    expect(await callApi(token, { certificate, url })).toBe(200);
    await expect(callApi(token, { url })).rejects.toMatchObject({ status: 401 });
  });
});

describe("DPoP, with the server's nonces", () => {
  test.each(["ES256", "Ed25519"])("binds a token to a key of %s, at the token endpoint and at the API", async (alg) => {
    const { client_id, client_secret = "" } = await register({});
    const dpop = oauth.DPoP({}, await oauth.generateKeyPair(alg));
    const token = await getToken({
      client: { client_id },
      authentication: oauth.ClientSecretBasic(client_secret),
      dpop,
    });
    expect(token.token_type).toBe("dpop");
    expect(await callApi(token, { dpop })).toBe(200);
    expect(await callApi(token, { dpop })).toBe(200);
    expect(await callApi(token, { dpop, url: new URL(`${API.href}?limit=1`) })).toBe(200);
    const thief = oauth.DPoP({}, await oauth.generateKeyPair(alg));
    await expect(callApi(token, { dpop: thief })).rejects.toMatchObject({ status: 401 });
    await expect(callApi(token)).rejects.toMatchObject({ status: 401 });
  });

  test("is demanded of a client that was registered so", async () => {
    const { client_id, client_secret = "" } = await register({ dpop_bound_access_tokens: true });
    const client = { client_id };
    const authentication = oauth.ClientSecretBasic(client_secret);
    await expect(getToken({ client, authentication })).rejects.toMatchObject({ error: "invalid_grant" });
    const dpop = oauth.DPoP({}, await oauth.generateKeyPair("ES256"));
    expect(await callApi(await getToken({ client, authentication, dpop }), { dpop })).toBe(200);
  });

  test("and a certificate are not both demanded of one client: its tokens are bound to one thing", async () => {
    const certificate = await makeSelfSigned({ name: "CN=Both" });
    for (const members of [
      { token_endpoint_auth_method: "self_signed_tls_client_auth", certificate: certificate.cert },
      { tls_client_certificate_bound_access_tokens: true },
    ]) {
      const input = { name: "Both", scopes: [SCOPE], dpop_bound_access_tokens: true, ...members };
      expect(await platform.operator.post("/api/v1/clients", input)).toMatchObject({
        status: 422,
        body: { code: "input_invalid" },
      });
    }
  });
});
