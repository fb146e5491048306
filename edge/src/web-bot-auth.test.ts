import { describe, expect, test } from "vitest";
import { type SignOptions, type SigningAgent, DIRECTORY_PATH, openAgent } from "./testing/signing-agent.ts";
import { IN_WORKERD } from "./testing/test-edge.ts";
import { now, privateKey } from "./testing/test-platform.ts";
import { PERSON, openWorld, outcomeOf } from "./testing/world.ts";

const IDENTIFIED = { status: 402, code: "license_required" };
const INVALID = { status: 401, code: "agent_signature_invalid" };
const UNPROVEN = { status: 401, code: "license_invalid", cause: "license_key_mismatch" };
const MALFORMED = { status: 400, code: "credentials_malformed" };

async function openSigned(settings: Readonly<Record<string, string>> = {}, agent?: SigningAgent) {
  const signing = agent ?? (await openAgent());
  const world = await openWorld({ LICET_ALLOW_HOSTS: signing.host, ...settings });
  const bound = () => world.bearing({ cnf: { jkt: signing.keyId } });
  const signed = async (options?: SignOptions) =>
    world.ask([PERSON, ...(await signing.sign(options))], options?.target);
  return { ...world, agent: signing, bound, signed };
}

describe("an agent that signs with a library of others", () => {
  test("is known by its directory, whatever its User-Agent says", async () => {
    const { signed, ask } = await openSigned();
    expect(outcomeOf(await ask([PERSON]))).toEqual({ status: 200 });
    expect(outcomeOf(await signed())).toEqual(IDENTIFIED);
  });

  test("is no agent where the operator exempts its directory", async () => {
    const agent = await openAgent();
    const { signed } = await openSigned({ LICET_EDGE_EXEMPT: agent.stand.origin }, agent);
    expect(outcomeOf(await signed())).toEqual({ status: 200 });
  });

  test("is an agent where not all of its directories are exempt, or only a set of keys at an exempt host is", async () => {
    const [agent, other] = await Promise.all([openAgent(), openAgent(privateKey("stranger"))]);
    const settings = { LICET_ALLOW_HOSTS: `${agent.host} ${other.host}`, LICET_EDGE_EXEMPT: agent.host };
    const { ask } = await openSigned(settings, agent);
    await agent.stand.answer({ "/jwks": { body: JSON.stringify({ keys: [agent.publicKey] }) } });
    expect(outcomeOf(await ask(await agent.sign()))).toEqual({ status: 200 });
    const keys = { agent: `sig="${agent.stand.origin}/jwks";type=jwks_uri` };
    expect(outcomeOf(await ask(await agent.sign(keys)))).toEqual(IDENTIFIED);
    const agents = `sig="${agent.stand.origin}", two="${other.stand.origin}"`;
    const first = Object.fromEntries(await agent.sign({ agent: agents }));
    const second = Object.fromEntries(
      await other.sign({ agent: agents, fields: ["@authority", 'signature-agent;key="two"'] }),
    );
    const both = ["signature", "signature-input"].map(
      (name) => [name, `${first[name]}, ${second[name]?.replace(/^sig=/, "two=")}`] as const,
    );
    expect(outcomeOf(await ask([PERSON, ["signature-agent", agents], ...both]))).toEqual(IDENTIFIED);
  });

  test("is known each time that it sends the same signature", async () => {
    const { ask, agent } = await openSigned();
    const lines = await agent.sign();
    expect([outcomeOf(await ask(lines)), outcomeOf(await ask(lines))]).toEqual([IDENTIFIED, IDENTIFIED]);
  });

  test("may sign with ES256", async () => {
    const agent = await openAgent(privateKey("platform_document_es256"));
    const { signed } = await openSigned({}, agent);
    expect(outcomeOf(await signed())).toEqual(IDENTIFIED);
  });

  test.each([
    ["@target-uri in place of @authority", { fields: ["@target-uri", 'signature-agent;key="sig"'] }],
    ["method, path and query", { also: ["@method", "@path", "@query"], target: "/songs/1?a=1&b=%20" }],
    ["the scheme and a header", { also: ["@scheme", "x-purpose"], headers: [["x-purpose", "  training "]] }],
    ["no alg", { params: { alg: undefined } }],
    ["no nonce", { params: { nonce: undefined } }],
    ["a life of 24 hours", { params: { created: now() - 10, expires: now() + 86_390 } }],
  ] as const)("may cover and say more or less: %s", async (_name, options: SignOptions) => {
    const { signed } = await openSigned();
    expect(outcomeOf(await signed(options))).toEqual(IDENTIFIED);
  });

  test("may name itself as earlier drafts did", async () => {
    const { signed, agent } = await openSigned();
    const options = { agent: `"${agent.stand.origin}"`, fields: ["@authority", "signature-agent"] };
    expect(outcomeOf(await signed(options))).toEqual(IDENTIFIED);
  });

  test("may serve its keys as a JWK Set at any URL", async () => {
    const { signed, agent } = await openSigned();
    await agent.stand.answer({ "/jwks": { body: JSON.stringify({ keys: [{ ...agent.publicKey, kid: "k1" }] }) } });
    expect(outcomeOf(await signed({ agent: `sig="${agent.stand.origin}/jwks";type=jwks_uri` }))).toEqual(IDENTIFIED);
  });
});

describe("a signature", () => {
  test.each([
    ["over the method alone", { fields: ["@method"] }],
    ["over nothing", { fields: [] }],
    ["over another field than the agent's", { fields: ["@authority", "user-agent"], headers: [["user-agent", "x"]] }],
    ["over the agent alone", { fields: ['signature-agent;key="sig"'] }],
    ["that has expired", { params: { created: now() - 100, expires: now() - 1 } }],
    ["from the future", { params: { created: now() + 100, expires: now() + 200 } }],
    ["that lives longer than a day", { params: { created: now() - 10, expires: now() + 86_400 } }],
    ["that expires before it was made", { params: { created: now() + 30, expires: now() + 20 } }],
    ["without created", { params: { created: undefined } }],
    ["without keyid", { params: { keyid: undefined } }],
    ["with a keyid that is no thumbprint", { params: { keyid: "key-1" } }],
    ["by a key that the directory does not list", { params: { keyid: "A".repeat(43) } }],
    ["with the name of another algorithm", { params: { alg: "rsa-pss-sha512" } }],
  ] as const)("%s is refused", async (_name, options: SignOptions) => {
    const { signed } = await openSigned();
    expect(outcomeOf(await signed(options))).toEqual(INVALID);
  });

  test("is asked for anew by Accept-Signature", async () => {
    const { signed } = await openSigned();
    const { headers } = await signed({ fields: ["@method"] });
    expect(headers.get("accept-signature")).toContain('tag="web-bot-auth"');
  });

  test("with another tag is not ours", async () => {
    const { signed } = await openSigned();
    expect(outcomeOf(await signed({ params: { tag: "something-else" } }))).toEqual({ status: 200 });
  });

  test("over another path, host or header than the request's is refused", async () => {
    const { ask, agent } = await openSigned();
    expect(outcomeOf(await ask(await agent.sign({ also: ["@path"], target: "/songs/2" })))).toEqual(INVALID);
    const elsewhere =
      (await agent.sign({ fields: ["@target-uri", 'signature-agent;key="sig"'], target: "/songs/1?a" })) ?? [];
    expect(outcomeOf(await ask(elsewhere))).toEqual(INVALID);
    const purposeful = await agent.sign({ also: ["x-purpose"], headers: [["x-purpose", "search"]] });
    const changed = purposeful.map(([name, value]) => [name, name === "x-purpose" ? "training" : value] as const);
    expect(outcomeOf(await ask(changed))).toEqual(INVALID);
    expect(outcomeOf(await ask([...purposeful, ["x-purpose", "training"]]))).toEqual(INVALID);
    expect(outcomeOf(await ask(purposeful.filter(([name]) => name !== "x-purpose")))).toEqual(INVALID);
  });

  test("is tied to the directory that it covers, and to no other", async () => {
    const { ask, agent } = await openSigned();
    const other = await openAgent(privateKey("stranger"));
    const lines = await agent.sign();
    const renamed = lines.map(
      ([name, value]) => [name, name === "signature-agent" ? `sig="${other.stand.origin}"` : value] as const,
    );
    const [fields] = [renamed];
    expect(outcomeOf(await ask(fields))).not.toEqual({ status: 200 });
    const beside = await agent.sign({ agent: `sig="${agent.stand.origin}", other="${other.stand.origin}"` });
    expect(outcomeOf(await ask(beside))).toEqual(IDENTIFIED);
    const uncovered = await agent.sign({
      fields: ["@authority", 'signature-agent;key="other"'],
      agent: `sig="${agent.stand.origin}", other="https://127.0.0.1"`,
    });
    expect(outcomeOf(await ask(uncovered))).toEqual(IDENTIFIED);
  });

  test.each([
    ["Signature-Input that is none", [["signature-input", 'sig=("@authority";tag="web-bot-auth"']]],
    ["no Signature", [["signature-input", 'sig=("@authority");created=1;expires=2;keyid="a";tag="web-bot-auth"']]],
    [
      "a Signature that is text",
      [
        ["signature-input", 'sig=("@authority");created=1;expires=2;keyid="a";tag="web-bot-auth"'],
        ["signature", 'sig="abc"'],
      ],
    ],
    [
      "a component twice",
      [
        ["signature-input", 'sig=("@authority" "@authority");created=1;expires=2;keyid="a";tag="web-bot-auth"'],
        ["signature", "sig=:AAAA:"],
      ],
    ],
    [
      "a parameter of a component that is not looked at",
      [
        ["signature-input", 'sig=("@authority";req);created=1;expires=2;keyid="a";tag="web-bot-auth"'],
        ["signature", "sig=:AAAA:"],
      ],
    ],
    [
      "no list of components",
      [
        ["signature-input", 'sig="@authority";tag="web-bot-auth"'],
        ["signature", "sig=:AAAA:"],
      ],
    ],
    [
      "five signatures",
      [
        ["signature-input", [1, 2, 3, 4, 5].map((at) => `s${at}=();tag="web-bot-auth"`).join(", ")],
        ["signature", "sig=:AAAA:"],
      ],
    ],
    [
      "a Signature-Agent of numbers",
      [
        ["signature-input", 'sig=("@authority");created=1;expires=2;keyid="a";tag="web-bot-auth"'],
        ["signature", "sig=:AAAA:"],
        ["signature-agent", "sig=1"],
      ],
    ],
  ] as const)("that cannot be read is refused: %s", async (_name, lines) => {
    const { ask } = await openWorld();
    expect(outcomeOf(await ask(lines))).toEqual(MALFORMED);
  });
});

describe("a license that is bound to a key", () => {
  test("is opened by a signature of that key over Authorization, once for each nonce", async () => {
    const { ask, agent, bound } = await openSigned();
    const license = await bound();
    const lines = await agent.sign({ headers: [license], also: ["authorization"] });
    expect(outcomeOf(await ask(lines))).toEqual({ status: 200 });
    expect(outcomeOf(await ask(lines))).toEqual({ status: 429, code: "signature_replayed" });
  });

  test("uses up no proof by a key that is not its own, nor one of a license that does not hold", async () => {
    const { ask, agent, bound, bearing } = await openSigned();
    const stranger = await openAgent(privateKey("stranger"));
    const other = await stranger.sign({ headers: [await bound()], also: ["authorization"] });
    const expired = await bearing({ cnf: { jkt: agent.keyId }, iat: now() - 1_000, exp: now() - 100 });
    const old = await agent.sign({ headers: [expired], also: ["authorization"] });
    for (const _time of [1, 2]) {
      expect(outcomeOf(await ask(other))).toEqual(UNPROVEN);
      expect(outcomeOf(await ask(old))).toMatchObject({ status: 401, code: "license_invalid" });
    }
  });

  test("is not opened without a proof, or by one that could be of another request", async () => {
    const { ask, agent, bound } = await openSigned();
    const license = await bound();
    expect(outcomeOf(await ask([license]))).toEqual(UNPROVEN);
    for (const options of [
      {},
      { also: ["authorization"], params: { nonce: undefined } },
      { also: ["authorization"], params: { created: now() - 301, expires: now() + 60 } },
    ])
      expect([outcomeOf(await ask(await agent.sign({ headers: [license], ...options }))), options]).toEqual([
        UNPROVEN,
        options,
      ]);
    const stranger = await openAgent(privateKey("stranger"));
    const other = await stranger.sign({ headers: [license], also: ["authorization"] });
    expect(outcomeOf(await ask(other))).toEqual(UNPROVEN);
  });

  test("is not opened by a signature over another license", async () => {
    const { ask, agent, bound, bearing } = await openSigned();
    const lines = await agent.sign({ headers: [await bound()], also: ["authorization"] });
    const [, other] = await bearing({ jti: "lic_2", cnf: { jkt: agent.keyId } });
    const swapped = lines.map(([name, value]) => [name, name === "authorization" ? other : value] as const);
    expect(outcomeOf(await ask(swapped))).toEqual(INVALID);
  });
});

describe("a directory", () => {
  test("at the platform's own address is no agent's, whatever stands there", async () => {
    const { platform, agent } = await openSigned();
    const keys = JSON.stringify({ keys: [agent.publicKey] });
    await platform.publish({
      [DIRECTORY_PATH]: {
        headers: { "content-type": "application/http-message-signatures-directory+json" },
        body: keys,
      },
      "/jwks": { body: keys },
    });
    const { ask, bearing } = await openWorld({
      LICET_ORIGIN: platform.origin,
      LICET_ALLOW_HOSTS: new URL(platform.origin).host,
    });
    const license = await bearing({ iss: platform.origin, cnf: { jkt: agent.keyId } });
    for (const named of [`sig="${platform.origin}"`, `sig="${platform.origin}/jwks";type=jwks_uri`]) {
      const lines = await agent.sign({ agent: named, headers: [license], also: ["authorization"] });
      expect(outcomeOf(await ask(lines))).toEqual(UNPROVEN);
    }
  });

  test("with a query is not asked, and no host is asked on and on", async () => {
    const { ask, agent } = await openSigned();
    const asked = async (): Promise<number> => (await agent.stand.requests()).length;
    const named = (path: string) => agent.sign({ agent: `sig="${agent.stand.origin}${path}";type=jwks_uri` });
    await ask(await named("/jwks?1"));
    expect(await asked()).toBe(0);
    for (let at = 0; at < 14; at += 1) await ask(await named(`/jwks/${at}`));
    expect(await asked()).toBe(10);
  });

  test.each([
    "http://127.0.0.1:1",
    "https://127.0.0.1",
    "https://localhost",
    "https://[::1]",
    "https://10.0.0.1",
    "https://169.254.169.254",
    "https://2130706433",
    "https://metadata.google.internal",
    "https://agents.example/somewhere/else",
    "https://ana:secret@agents.example",
    "file:///etc/passwd",
    "data:application/json,{}",
  ])("at %s is not asked, and identifies nobody", async (url) => {
    const { ask, agent, bound } = await openSigned();
    const license = await bound();
    const lines = await agent.sign({ headers: [license], also: ["authorization"], agent: `sig="${url}"` });
    expect(outcomeOf(await ask(lines))).toEqual(UNPROVEN);
    expect(outcomeOf(await ask(await agent.sign({ agent: `sig="${url}"` })))).toEqual(IDENTIFIED);
  });

  test("at an address that the operator does not allow is not asked", async () => {
    const { ask } = await openWorld();
    const agent = await openAgent();
    expect(outcomeOf(await ask(await agent.sign()))).toEqual(IDENTIFIED);
    expect(await agent.stand.requests()).toEqual([]);
  });

  test.each([
    ["a redirect", { status: 302, headers: { location: "/elsewhere" } }],
    ["404", { status: 404 }],
    ["another media type", { headers: { "content-type": "text/html" } }],
    ["no JSON", { body: "<html>" }],
    ["keys that are no list", { body: '{"keys":{}}' }],
    ["more than it may", { body: `{"keys":[],"pad":"${"x".repeat(70_000)}"}` }],
    ["too many keys", { body: JSON.stringify({ keys: Array.from({ length: 101 }, () => ({})) }) }],
    ["nothing, but a closed connection", { hangsUp: true }],
    ["nothing in time", { delayMs: 6_000 }],
  ] as const)("that answers %s identifies nobody", async (_name, answer) => {
    const { ask, agent, bound } = await openSigned();
    await agent.serve([agent.publicKey], answer);
    const lines = await agent.sign({ headers: [await bound()], also: ["authorization"] });
    expect(outcomeOf(await ask(lines))).toEqual(UNPROVEN);
  });

  test.each([
    ["a key whose time is over", { exp: now() - 1 }],
    ["a key whose time has not come", { nbf: now() + 600 }],
    ["a key whose time in milliseconds is over", { exp: (now() - 1) * 1_000 }],
    ["a private key", { d: "AAAA" }],
    ["another key under this name", { x: "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo" }],
  ])("that lists %s does not list it", async (_name, members) => {
    const { signed, agent } = await openSigned();
    await agent.serve([{ ...agent.publicKey, ...members }]);
    expect(outcomeOf(await signed())).toEqual(INVALID);
  });

  test("is asked once for many requests, and its copy stands while it cannot be read", async () => {
    const { signed, agent } = await openSigned();
    expect(outcomeOf(await signed())).toEqual(IDENTIFIED);
    await agent.serve([], { status: 500 });
    expect(outcomeOf(await signed({ also: ["@method"] }))).toEqual(IDENTIFIED);
    expect((await agent.stand.requests()).map(({ url }) => url)).toEqual([DIRECTORY_PATH]);
  });
});

describe.runIf(IN_WORKERD)("a client certificate", () => {
  const sha256 = "ab".repeat(32);
  const facts = { certPresented: "1", certVerified: "SUCCESS", certRevoked: "0", certFingerprintSHA256: sha256 };

  test.each([
    ["that holds", facts, IDENTIFIED],
    [
      "that is revoked, although it reads verified",
      { ...facts, certRevoked: "1" },
      { status: 401, code: "agent_certificate_invalid" },
    ],
    [
      "that does not verify",
      { ...facts, certVerified: "FAILED:self signed certificate" },
      { status: 401, code: "agent_certificate_invalid" },
    ],
    ["of somebody who is no agent", { ...facts, certFingerprintSHA256: "cd".repeat(32) }, { status: 200 }],
    ["that was not presented", { ...facts, certPresented: "0" }, { status: 200 }],
  ] as const)("%s", async (_name, tlsClientAuth, expected) => {
    const { edge } = await openWorld({ LICET_EDGE_AGENT_CERTIFICATES: sha256 });
    expect(outcomeOf(await edge.ask({ target: "/songs/1", headers: [PERSON], tlsClientAuth }))).toEqual(expected);
  });
});
