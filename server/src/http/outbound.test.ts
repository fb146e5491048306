import { once } from "node:events";
import { type Server, type Socket, createServer } from "node:net";
import { createServer as createTlsServer, getCACertificates, setDefaultCACertificates } from "node:tls";
import { gzipSync } from "node:zlib";
import { afterAll, describe, expect, test } from "vitest";
import { makeAuthority } from "../../../test/fixtures/certificates.ts";
import { whenDone } from "../../../test/fixtures/when-done.ts";
import { type Outbound, checkOutboundUrl, createOutbound } from "./outbound.ts";
import type { ResolveName } from "./pinned-connection.ts";
import { resolveDidWeb } from "./resolve-did-web.ts";

/** What a raw server does once it has the head of a request. */
type Script = (socket: Socket, head: string) => void;

const CHUNK = Buffer.alloc(65_536, "x");
const scripts = new Map<string, Script>();
const heads: string[] = [];
const connections = { opened: 0, open: 0 };

const plain = createServer((socket) => speak(socket));
const port = await listen(plain);
const here = `127.0.0.1:${port}`;

afterAll(() => plain.close());

async function listen(server: Server): Promise<number> {
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  return typeof address === "object" && address !== null ? address.port : 0;
}

function speak(socket: Socket): void {
  connections.opened += 1;
  connections.open += 1;
  let head = "";
  socket.on("error", () => socket.destroy());
  socket.on("close", () => (connections.open -= 1));
  socket.on("data", (bytes) => {
    head += bytes.toString("latin1");
    if (!head.includes("\r\n\r\n")) return;
    heads.push(head);
    const script = scripts.get(/^\w+ (\S+)/.exec(head)?.[1] ?? "");
    const request = head;
    head = "";
    if (script === undefined) socket.end("HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n");
    else script(socket, request);
  });
}

/** Answers a path with exactly these bytes. */
function answer(path: string, raw: string | Buffer, after: (socket: Socket) => void = () => undefined): void {
  scripts.set(path, (socket) => {
    socket.write(raw);
    after(socket);
  });
}

function page(body: string, headers = ""): string {
  return `HTTP/1.1 200 OK\r\ncontent-length: ${Buffer.byteLength(body)}\r\n${headers}\r\n${body}`;
}

function redirect(location: string, status = 302): string {
  return `HTTP/1.1 ${status} Found\r\nlocation: ${location}\r\ncontent-length: 0\r\n\r\n`;
}

/** A resolver that knows these names, and how often it was asked. */
function resolverOf(names: Readonly<Record<string, readonly (readonly string[])[]>>): {
  readonly resolve: ResolveName;
  readonly asked: string[];
} {
  const asked: string[] = [];
  const resolve: ResolveName = async (name) => {
    const answers = names[name] ?? [];
    const addresses = answers[Math.min(asked.filter((earlier) => earlier === name).length, answers.length - 1)] ?? [];
    asked.push(name);
    return addresses.map((address) => ({ address, family: address.includes(":") ? 6 : 4 }));
  };
  return { resolve, asked };
}

const open: Outbound[] = [];
afterAll(() => Promise.all(open.map((outbound) => outbound.close())));

function outboundWith(options: Partial<Parameters<typeof createOutbound>[0]> = {}): Outbound {
  const outbound = createOutbound({ allowedHosts: [here], ...options });
  open.push(outbound);
  return outbound;
}

async function codeOf(asked: Promise<{ readonly ok: boolean; readonly refusal?: { readonly code: string } }>) {
  const result = await asked;
  return result.ok ? "accepted" : result.refusal?.code;
}

async function until(isTrue: () => boolean): Promise<void> {
  for (const deadline = Date.now() + 20_000; !isTrue();) {
    if (Date.now() > deadline) throw new Error("expected it to come true within 20 s");
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

const outbound = outboundWith();
const urlOf = (path: string) => `http://${here}${path}`;
const LIMITS = { maxBytes: 1_000_000, maxRedirects: 3, timeoutMs: 20_000 };

describe("a name", () => {
  test.each([
    ["loopback", ["127.0.0.1"]],
    ["loopback in IPv6", ["::1"]],
    ["a private network", ["10.1.2.3"]],
    ["metadata", ["169.254.169.254"]],
    ["metadata in IPv6", ["fd00:ec2::254"]],
    ["carrier-grade NAT", ["100.64.1.1"]],
    ["an address mapped into IPv6", ["::ffff:10.0.0.1"]],
    ["NAT64", ["64:ff9b::7f00:1"]],
    ["6to4", ["2002:7f00:1::1"]],
    ["link-local with a zone", ["fe80::1%eth0"]],
    ["multicast", ["224.0.0.1"]],
    ["a public and a private address", ["8.8.8.8", "192.168.0.1"]],
    ["a private address after many public ones", [...Array<string>(40).fill("8.8.8.8"), "10.0.0.1"]],
  ])("that leads to %s is refused before anything is sent", async (_what, addresses) => {
    const { resolve } = resolverOf({ "inside.example": [addresses] });
    const guarded = outboundWith({ resolve });
    const url = `https://inside.example:${port}/`;
    const before = connections.opened;
    expect(await codeOf(guarded.send(url, { method: "POST", headers: {}, body: "{}" }))).toBe("url_forbidden");
    expect(await codeOf(guarded.read(url))).toBe("url_forbidden");
    expect(await codeOf(guarded.download(url, LIMITS, () => undefined))).toBe("url_forbidden");
    expect(connections.opened).toBe(before);
  });

  test("that was harmless when it was registered is judged again when it is called", async () => {
    const { resolve, asked } = resolverOf({ "rebind.example": [["127.0.0.1"]] });
    const url = `https://rebind.example:${port}/`;
    expect(checkOutboundUrl(url, []).ok).toBe(true);
    expect(await codeOf(outboundWith({ resolve }).read(url))).toBe("url_forbidden");
    expect(asked).toEqual(["rebind.example"]);
  });

  test("is resolved once for a connection, and the connection goes where that answer said", async () => {
    answer("/once", page("here"));
    const name = `rebind.example:${port}`;
    const { resolve, asked } = resolverOf({ "rebind.example": [["127.0.0.1"], ["192.0.2.1"]] });
    const guarded = outboundWith({ allowedHosts: [name], resolve });
    expect(await guarded.read(`http://${name}/once`)).toMatchObject({ ok: true, value: { body: "here" } });
    expect(asked).toEqual(["rebind.example"]);
  });

  test("keeps its connections for the next request, and each was resolved once", async () => {
    answer("/again", page("here"));
    const name = `kept.example:${port}`;
    const { resolve, asked } = resolverOf({ "kept.example": [["127.0.0.1"]] });
    const guarded = outboundWith({ allowedHosts: [name], resolve });
    const opened = connections.opened;
    for (let round = 0; round < 50; round += 1) expect((await guarded.read(`http://${name}/again`)).ok).toBe(true);
    expect(asked.length).toBeLessThan(50);
    expect(connections.opened - opened).toBe(asked.length);
  });

  test("that nobody knows is an answer that does not come", async () => {
    const guarded = outboundWith({ resolve: resolverOf({}).resolve });
    expect(await guarded.read("https://nobody.example/")).toMatchObject({
      refusal: { code: "source_unavailable", detail: expect.stringContaining("nobody.example has no address") },
    });
  });

  test("that is allowed on one port is not allowed on another", async () => {
    expect(await codeOf(outbound.read(`http://127.0.0.1:${port + 1}/`))).toBe("url_forbidden");
    expect(await codeOf(outbound.read(`http://localhost:${port}/`))).toBe("url_forbidden");
  });
});

describe("a redirect", () => {
  test.each([
    ["loopback on another port", `http://127.0.0.1:1/`],
    ["metadata", "http://169.254.169.254/latest/meta-data/"],
    ["metadata with https", "https://169.254.169.254/"],
    ["plain http", "http://platform.example/"],
    ["a decimal address", "https://2130706433/"],
    ["a file", "file:///etc/passwd"],
    ["a user name", "https://user:secret@platform.example/"],
    ["a protocol-relative address inside", "//10.0.0.1/"],
  ])("to %s is refused", async (what, location) => {
    const path = `/to-${what.replaceAll(" ", "-")}`;
    answer(path, redirect(location));
    expect(await codeOf(outbound.read(urlOf(path), LIMITS))).toBe("url_forbidden");
  });

  test("at the end of a chain is judged like the first", async () => {
    answer("/a", redirect("/b", 301));
    answer("/b", redirect(urlOf("/c"), 307));
    answer("/c", redirect("https://inside.example/"));
    const { resolve } = resolverOf({ "inside.example": [["10.0.0.1"]] });
    expect(await codeOf(outboundWith({ resolve }).read(urlOf("/a"), LIMITS))).toBe("url_forbidden");
  });

  test("is followed as far as is allowed, and the answer says where it was found", async () => {
    answer("/1", redirect("/2#part"));
    answer("/2", redirect("3", 308));
    answer("/3", page("found"));
    expect(await outbound.read(urlOf("/1"), { maxRedirects: 2 })).toMatchObject({
      value: { body: "found", url: urlOf("/3") },
    });
    expect(await codeOf(outbound.read(urlOf("/1"), { maxRedirects: 1 }))).toBe("source_unavailable");
    expect(await codeOf(outbound.read(urlOf("/1")))).toBe("source_unavailable");
  });

  test("in a circle, or to nowhere, comes to an end", async () => {
    answer("/circle", redirect("/circle"));
    answer("/nowhere", "HTTP/1.1 302 Found\r\ncontent-length: 0\r\n\r\n");
    answer("/garbage", redirect("https://["));
    for (const path of ["/circle", "/nowhere", "/garbage"])
      expect(await codeOf(outbound.read(urlOf(path), LIMITS))).toBe("source_unavailable");
  });

  test("takes nobody's credentials along, because what is sent with credentials follows none", async () => {
    answer("/moved", redirect("/thief"));
    answer("/thief", page("thanks"));
    const sent = await outbound.send(urlOf("/moved"), {
      method: "POST",
      headers: { authorization: "Bearer secret" },
      body: "{}",
    });
    expect(sent).toMatchObject({ ok: true, value: { status: 302 } });
    expect(heads.filter((head) => head.includes(" /thief "))).toEqual([]);
  });
});

describe("an answer", () => {
  test("of 10 GB that says so is not read", async () => {
    answer("/declared", "HTTP/1.1 200 OK\r\ncontent-length: 10000000000\r\n\r\n");
    let taken = 0;
    const downloaded = outbound.download(urlOf("/declared"), LIMITS, (chunk) => void (taken += chunk.length));
    expect(await codeOf(downloaded)).toBe("source_too_large");
    expect(taken).toBe(0);
  });

  test("without end is cut at the limit, and its connection closed", async () => {
    const talking = { socket: undefined as Socket | undefined };
    scripts.set("/endless", (socket) => {
      talking.socket = socket;
      socket.write("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n");
      const write = (): void => {
        while (!socket.destroyed && socket.write(Buffer.concat([Buffer.from("10000\r\n"), CHUNK, Buffer.from("\r\n")])))
          continue;
      };
      socket.on("drain", write);
      write();
    });
    let taken = 0;
    const downloaded = outbound.download(urlOf("/endless"), LIMITS, (chunk) => void (taken += chunk.length));
    expect(await codeOf(downloaded)).toBe("source_too_large");
    expect(taken).toBeLessThanOrEqual(LIMITS.maxBytes);
    await until(() => talking.socket?.destroyed === true);
  });

  test.each([
    ["that drips", "HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n"],
    ["whose header drips", "HTTP/1.1 200 OK\r\nx-slow: "],
    ["that never begins", ""],
  ])("%s is given up after the time allowed", async (what, beginning) => {
    const path = `/slow-${what.replaceAll(" ", "-")}`;
    answer(path, beginning, (socket) => {
      const drip = setInterval(() => (socket.destroyed ? clearInterval(drip) : socket.write("x")), 10);
    });
    expect(await codeOf(outbound.read(urlOf(path), { ...LIMITS, timeoutMs: 200 }))).toBe("source_unavailable");
  });

  test("that is compressed is not unpacked: a hash is of the bytes as they are", async () => {
    const bomb = gzipSync(Buffer.alloc(10_000_000));
    answer(
      "/bomb",
      Buffer.concat([
        Buffer.from(`HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: ${bomb.length}\r\n\r\n`),
        bomb,
      ]),
    );
    expect(await outbound.read(urlOf("/bomb"), LIMITS)).toMatchObject({
      refusal: { code: "source_unavailable", detail: expect.stringContaining("gzip") },
    });
    expect(heads.at(-1)).toContain("accept-encoding: identity");
    expect(await outbound.send(urlOf("/bomb"), { method: "GET", headers: {} })).toMatchObject({ ok: true });
  });

  test("shorter than it says is no answer", async () => {
    answer("/short", "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nshort", (socket) => socket.end());
    expect(await codeOf(outbound.read(urlOf("/short")))).toBe("source_unavailable");
  });

  test("longer than it says is read as far as it says", async () => {
    answer("/long", "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nlong and more", (socket) => socket.end());
    expect(await outbound.read(urlOf("/long"))).toMatchObject({ value: { body: "long" } });
  });

  test("with two lengths, or a length beside chunks, is no answer", async () => {
    answer("/two", "HTTP/1.1 200 OK\r\ncontent-length: 4\r\ncontent-length: 5\r\n\r\nlong", (socket) => socket.end());
    answer(
      "/both",
      "HTTP/1.1 200 OK\r\ncontent-length: 4\r\ntransfer-encoding: chunked\r\n\r\n4\r\nlong\r\n0\r\n\r\n",
      (socket) => socket.end(),
    );
    for (const path of ["/two", "/both"]) expect(await codeOf(outbound.read(urlOf(path)))).toBe("source_unavailable");
  });

  test("with a header over the limit, of another protocol, or broken off, is no answer", async () => {
    answer("/header", page("", `x-large: ${"a".repeat(20_000)}\r\n`));
    answer("/ssh", "SSH-2.0-OpenSSH_9.9\r\n");
    answer("/broken", "HTTP/1.1 200 OK\r\n", (socket) => socket.destroy());
    for (const path of ["/header", "/ssh", "/broken"])
      expect(await codeOf(outbound.read(urlOf(path)))).toBe("source_unavailable");
  });

  test("other than 200 is none", async () => {
    answer("/partial", "HTTP/1.1 206 Partial Content\r\ncontent-length: 1\r\n\r\nx");
    for (const path of ["/missing", "/partial"])
      expect(await codeOf(outbound.read(urlOf(path)))).toBe("source_unavailable");
  });

  test("is handed over chunk by chunk, and waits while the last one is being taken", async () => {
    const body = "x".repeat(500_000);
    answer("/whole", page(body));
    const sizes: number[] = [];
    let busy = 0;
    const downloaded = await outbound.download(urlOf("/whole"), LIMITS, async (chunk) => {
      busy += 1;
      expect(busy).toBe(1);
      await new Promise((resolve) => setImmediate(resolve));
      sizes.push(chunk.length);
      busy -= 1;
    });
    expect(downloaded).toMatchObject({ ok: true, value: { sizeBytes: body.length, url: urlOf("/whole") } });
    expect(sizes.reduce((sum, size) => sum + size, 0)).toBe(body.length);
  });

  test("leaves no connection open once everything is closed", async () => {
    const own = outboundWith();
    answer("/kept", page("kept"));
    expect((await own.read(urlOf("/kept"))).ok).toBe(true);
    await Promise.all(open.map((each) => each.close()));
    await until(() => connections.open === 0);
  });
});

describe("a certificate", () => {
  const seen: (string | false | null)[] = [];
  const trusted = getCACertificates("default");
  afterAll(() => setDefaultCACertificates(trusted));

  async function startTls(name: string): Promise<number> {
    const authority = await makeAuthority();
    const subject = { name: `CN=${name}`, alternativeNames: [{ type: "dns" as const, value: name }] };
    const { key, cert } = await authority.issue({ ...subject, usage: "server" });
    const server = createTlsServer({ key, cert }, (socket) => {
      seen.push(socket.servername);
      speak(socket);
    });
    server.on("tlsClientError", () => undefined);
    whenDone(() => server.close());
    setDefaultCACertificates([...getCACertificates("default"), authority.cert]);
    return listen(server);
  }

  /** A did:web is https alone, so its resolver is tried where there is a certificate. */
  async function resolvesDids(guarded: Outbound, tlsPort: number): Promise<void> {
    const jwk = { kty: "OKP", crv: "Ed25519", x: "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo" };
    const did = `did:web:works.example%3A${tlsPort}`;
    const method = { id: "#1", type: "JsonWebKey", controller: did, publicKeyJwk: jwk };
    const document = { id: did, verificationMethod: [method], assertionMethod: ["#1"] };
    answer("/.well-known/did.json", page(JSON.stringify(document)));
    answer("/ana/did.json", page(JSON.stringify(document)));
    answer("/large/did.json", page(JSON.stringify({ ...document, note: "x".repeat(70_000) })));
    answer("/twice/did.json", page(`{"id":"${did}","id":"${did}"}`));
    answer("/moved/did.json", redirect("/.well-known/did.json"));
    const ctx = { outbound: guarded };
    expect(await resolveDidWeb(ctx, did)).toEqual({ ok: true, value: { id: did, keys: [{ id: `${did}#1`, jwk }] } });
    expect(await codeOf(resolveDidWeb(ctx, `${did}:ana`))).toBe("document_invalid");
    expect(await codeOf(resolveDidWeb(ctx, `${did}:large`))).toBe("source_too_large");
    expect(await codeOf(resolveDidWeb(ctx, `${did}:twice`))).toBe("document_invalid");
    expect(await codeOf(resolveDidWeb(ctx, `${did}:moved`))).toBe("source_unavailable");
    expect(await codeOf(resolveDidWeb(ctx, `${did}:nobody`))).toBe("source_unavailable");
    expect(await codeOf(resolveDidWeb(ctx, "did:web:localhost"))).toBe("url_forbidden");
    expect(await codeOf(resolveDidWeb(ctx, "did:web:169.254.169.254"))).toBe("url_forbidden");
    expect(await codeOf(resolveDidWeb(ctx, "did:web:"))).toBe("did_malformed");
  }

  test("is checked against the name although the address is connected to, and so is SNI", async () => {
    const tlsPort = await startTls("works.example");
    answer("/tls", page("safe"));
    const { resolve } = resolverOf({ "works.example": [["127.0.0.1"]], "other.example": [["127.0.0.1"]] });
    const guarded = outboundWith({ allowedHosts: [`works.example:${tlsPort}`, `other.example:${tlsPort}`], resolve });
    expect(await guarded.read(`https://works.example:${tlsPort}/tls`)).toMatchObject({ value: { body: "safe" } });
    expect(new Set(seen)).toEqual(new Set(["works.example"]));
    await resolvesDids(guarded, tlsPort);
    const mismatch = await guarded.read(`https://other.example:${tlsPort}/tls`);
    expect(mismatch).toMatchObject({ ok: false, refusal: { code: "source_unavailable" } });
    expect(await codeOf(guarded.send(`https://other.example:${tlsPort}/tls`, { method: "GET", headers: {} }))).toBe(
      "unavailable",
    );
  });
});
