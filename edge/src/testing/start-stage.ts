import { createSigner, httpbis } from "http-message-signatures";
import { createPrivateKey } from "node:crypto";
import { once } from "node:events";
import { type IncomingMessage, type Server, type ServerResponse, createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { setTimeout as wait } from "node:timers/promises";
import type { TestProject } from "vitest/node";
import type { SentRequest, SigningTask, StagedAnswer } from "./stage.ts";

interface Stand {
  readonly server: Server;
  readonly answers: Map<string, StagedAnswer>;
  readonly requests: SentRequest[];
}

/** The end of a path in a Map of answers that fits whatever else is asked for. */
const ANYTHING = "*";

/**
 * Real servers for tests that run inside workerd and cannot open ports: `POST /stands` opens one and
 * answers its origin, `PUT /stands/{port}` says what it answers, `GET /stands/{port}` what it was asked.
 */
export default async function startStage(project: TestProject): Promise<() => Promise<void>> {
  const stands = new Map<number, Stand>();
  const control = createServer((request, response) => {
    direct(stands, request, response).catch((error: unknown) => response.writeHead(500).end(String(error)));
  });
  project.provide("stageOrigin", await listen(control));
  return async () => {
    for (const { server } of [...stands.values(), { server: control }]) {
      server.close();
      server.closeAllConnections();
    }
  };
}

async function listen(server: Server): Promise<string> {
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

async function direct(stands: Map<number, Stand>, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const port = Number(/^\/stands\/(\d+)$/.exec(request.url ?? "")?.[1]);
  const stand = stands.get(port);
  if (request.url === "/stands") {
    const opened = openStand();
    const origin = await listen(opened.server);
    stands.set(Number(new URL(origin).port), opened);
    response.end(JSON.stringify({ origin }));
  } else if (request.url === "/signatures") {
    response.end(JSON.stringify(await sign(JSON.parse(await readAll(request)) as SigningTask)));
  } else if (stand === undefined) {
    response.writeHead(404).end();
  } else if (request.method === "PUT") {
    const answers = JSON.parse(await readAll(request)) as Readonly<Record<string, StagedAnswer>>;
    for (const [path, answer] of Object.entries(answers))
      stand.answers.set(path, answer.hangsUp === "once" ? { ...answerTo(stand.answers, path), ...answer } : answer);
    response.end();
  } else if (request.method === "DELETE") {
    stand.server.close();
    stand.server.closeAllConnections();
    response.end();
  } else {
    response.end(JSON.stringify(stand.requests));
  }
}

/** Signs with a library that is not ours, in a process that is not the edge's. */
async function sign({
  jwk,
  alg,
  keyId,
  fields,
  params,
  url,
  headers,
}: SigningTask): Promise<Readonly<Record<string, string>>> {
  const { created, expires, ...texts } = params;
  const key = createSigner(createPrivateKey({ key: { ...jwk }, format: "jwk" }), alg, keyId);
  const signed = await httpbis.signMessage(
    {
      key,
      name: "sig",
      fields: [...fields],
      params: Object.keys(params),
      paramValues: {
        ...(typeof created === "number" ? { created: new Date(created * 1_000) } : {}),
        ...(typeof expires === "number" ? { expires: new Date(expires * 1_000) } : {}),
        ...texts,
      },
    },
    { method: "GET", url, headers: { ...headers } },
  );
  return Object.fromEntries(Object.entries(signed.headers).map(([name, value]) => [name.toLowerCase(), String(value)]));
}

function openStand(): Stand {
  const answers = new Map<string, StagedAnswer>();
  const requests: SentRequest[] = [];
  const server = createServer((request, response) => {
    answerAs(request, response, { answers, requests }).catch(() => response.destroy());
  });
  return { server, answers, requests };
}

function answerTo(answers: Stand["answers"], path: string): StagedAnswer {
  return answers.get(path) ?? answers.get(ANYTHING) ?? { status: 404 };
}

async function answerAs(
  request: IncomingMessage,
  response: ServerResponse,
  { answers, requests }: Omit<Stand, "server">,
): Promise<void> {
  const { method = "", url = "", rawHeaders } = request;
  const headers = Array.from({ length: rawHeaders.length / 2 }, (_, at): [string, string] => [
    (rawHeaders[2 * at] ?? "").toLowerCase(),
    rawHeaders[2 * at + 1] ?? "",
  ]);
  requests.push({ method, url, headers, body: await readAll(request) });
  const answer = answerTo(answers, url);
  if (answer.delayMs !== undefined) await wait(answer.delayMs);
  if (answer.hangsUp === "once") answers.set(url, { ...answer, hangsUp: false });
  if (answer.hangsUp === true || answer.hangsUp === "once") {
    response.destroy();
    return;
  }
  const etag = answer.headers?.["etag"];
  const isKnown = etag !== undefined && request.headers["if-none-match"] === etag;
  response.writeHead(isKnown ? 304 : (answer.status ?? 200), answer.headers);
  response.end(isKnown ? undefined : (answer.body ?? ""));
}

async function readAll(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of request as AsyncIterable<Buffer>) chunks.push(chunk);
  return Buffer.concat(chunks).toString("utf8");
}
