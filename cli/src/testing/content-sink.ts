import { type JsonObject, parseJsonObject } from "@licet/protocol";
import { listen } from "@licet/sdk/testing";

/** A server that only knows works: the bulk route and the list that `licet import` speaks to. */
export interface ContentSink {
  readonly origin: string;
  readonly works: Map<string, JsonObject>;
  /** How many works each request carried. */
  readonly batches: number[];
  readonly creators: Set<string>;
  /** Content ids to refuse, with the detail. */
  readonly refusals: Map<string, string>;
  readonly close: () => Promise<void>;
}

export const SINK_TOKEN = "licet_op_test";

export async function openContentSink(): Promise<ContentSink> {
  const listener = await listen();
  const sink: ContentSink = {
    origin: listener.origin,
    works: new Map<string, JsonObject>(),
    batches: [],
    creators: new Set(["user:1"]),
    refusals: new Map<string, string>(),
    close: listener.close,
  };
  listener.answerWith((request) => answer(sink, request));
  return sink;
}

async function answer(sink: ContentSink, request: Request): Promise<Response> {
  const { pathname, searchParams } = new URL(request.url);
  if (request.headers.get("authorization") !== `Bearer ${SINK_TOKEN}`)
    return Response.json({ code: "unauthenticated", detail: "expected a token that is in force" }, { status: 401 });
  switch (`${request.method} ${pathname}`) {
    case "POST /api/v1/content/bulk":
      return bulkAnswer(sink, await request.text());
    case "GET /api/v1/content":
      return pageAnswer(sink, searchParams);
    case "POST /api/v1/creators":
      return creatorAnswer(sink, await request.text());
    default:
      return Response.json({ code: "not_found", detail: pathname }, { status: 404 });
  }
}

function bulkAnswer(sink: ContentSink, body: string): Response {
  const lines = body.trimEnd().split("\n");
  sink.batches.push(lines.length);
  const results = lines.map((text, index) => ({ line: index + 1, ...registration(sink, text) }));
  return new Response(results.map((result) => `${JSON.stringify(result)}\n`).join(""), {
    headers: { "content-type": "application/x-ndjson" },
  });
}

function registration(sink: ContentSink, text: string): JsonObject {
  const parsed = parseJsonObject(text);
  if (!parsed.ok) return refused("body_malformed", parsed.refusal.detail);
  const work = parsed.value;
  const id = textOf(work, "content_id");
  if (!sink.creators.has(textOf(work, "creator_id")))
    return refused("not_found", `creator_id: there is no creator ${textOf(work, "creator_id")}`);
  const refusal = sink.refusals.get(id);
  if (refusal !== undefined) return refused("conflict", refusal);
  const held = sink.works.get(id);
  sink.works.set(id, work);
  if (held === undefined) return { status: "created", content_id: id };
  return { status: JSON.stringify(held) === JSON.stringify(work) ? "unchanged" : "revised", content_id: id };
}

function refused(code: string, detail: string): JsonObject {
  return {
    status: "refused",
    problem: { type: `https://platform.example/problems/${code}`, title: "Refused", status: 409, code, detail },
  };
}

function pageAnswer(sink: ContentSink, query: URLSearchParams): Response {
  const limit = Number(query.get("limit"));
  const ids = [...sink.works.keys()]
    .sort()
    .filter((id) => id > (query.get("after") ?? "") && sink.works.get(id)?.["creator_id"] === query.get("creator_id"));
  const page = ids.slice(0, limit);
  return Response.json({
    content_items: page.map((id) => sink.works.get(id)),
    next: ids.length > limit ? page.at(-1) : null,
  });
}

function creatorAnswer(sink: ContentSink, body: string): Response {
  const parsed = parseJsonObject(body);
  const creatorId = parsed.ok ? textOf(parsed.value, "creator_id") : "";
  if (sink.creators.has(creatorId))
    return Response.json({ code: "already_exists", detail: creatorId }, { status: 409 });
  sink.creators.add(creatorId);
  return Response.json({ creator_id: creatorId }, { status: 201 });
}

function textOf(body: JsonObject, member: string): string {
  const value = body[member];
  return typeof value === "string" ? value : "";
}
