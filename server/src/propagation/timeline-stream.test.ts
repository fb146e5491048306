import { describe, expect, test } from "vitest";
import {
  enrolCreator,
  expectStatus,
  giveConsent,
  offerDataset,
  publishDataset,
  registerMarketplace,
  registerWork,
  uniqueId,
} from "../../../test/fixtures/actors.ts";
import { startPlatform } from "../../../test/fixtures/platform.ts";
import { startSink } from "../../../test/fixtures/webhook-sink.ts";

const sink = await startSink();
const platform = await startPlatform({ allowedHosts: [sink.host] });

/** A revoked consent in a dataset that a marketplace listens for. */
async function revokedWorld() {
  const creator = await enrolCreator(platform);
  const work = await registerWork(platform, creator.creatorId);
  const { jti } = await giveConsent(creator);
  const { dataset_id } = await publishDataset(platform, [work]);
  const path = `/${uniqueId("hook-")}`;
  const marketplace = await registerMarketplace(platform, {
    base_url: sink.url(`${path}/base`),
    webhook_url: sink.url(path),
  });
  await offerDataset(platform, dataset_id, marketplace);
  const revoke = async (): Promise<string> =>
    expectStatus(await creator.caller.post(`/api/v1/consents/${jti}/revoke`), 200).body.revocation_id;
  return { creator, jti, marketplace, path, revoke };
}

interface StreamEvent {
  readonly event: string;
  readonly id?: string;
  // oxlint-disable-next-line typescript/no-explicit-any -- tests look into data of every shape
  readonly data: any;
}

interface OpenedStream {
  readonly status: number;
  readonly type: string | null;
  /** The next event; undefined at the end. */
  readonly next: () => Promise<StreamEvent | undefined>;
  readonly close: () => void;
}

async function open(id: string, token: string, lastEventId?: string, server = platform.origin): Promise<OpenedStream> {
  const leaving = new AbortController();
  const response = await fetch(`${server}/api/v1/revocations/${id}`, {
    headers: {
      accept: "text/event-stream",
      authorization: `Bearer ${token}`,
      ...(lastEventId === undefined ? {} : { "last-event-id": lastEventId }),
    },
    signal: leaving.signal,
  });
  // Taken at once: a body that nobody has taken is let go of with its response.
  const text = response.body?.pipeThrough(new TextDecoderStream());
  const events = text === undefined ? undefined : eventsOf(text);
  return {
    status: response.status,
    type: response.headers.get("content-type"),
    next: async () => (await events?.next())?.value ?? undefined,
    close: () => leaving.abort(),
  };
}

async function* eventsOf(body: ReadableStream<string>): AsyncGenerator<StreamEvent, undefined> {
  let text = "";
  for await (const chunk of body) {
    text += chunk;
    for (let end = text.indexOf("\n\n"); end >= 0; end = text.indexOf("\n\n")) {
      const fields = Object.fromEntries(
        text
          .slice(0, end)
          .split("\n")
          .map((line) => [line.slice(0, line.indexOf(":")), line.slice(line.indexOf(":") + 2)]),
      );
      text = text.slice(end + 2);
      if (fields["event"] === undefined) continue;
      const id = fields["id"] === undefined ? {} : { id: fields["id"] };
      yield { event: fields["event"], ...id, data: JSON.parse(fields["data"] ?? "null") };
    }
  }
  return undefined;
}

async function readToEnd(stream: OpenedStream): Promise<readonly StreamEvent[]> {
  const events: StreamEvent[] = [];
  for (let event = await stream.next(); event !== undefined; event = await stream.next()) events.push(event);
  return events;
}

const namesOf = (events: readonly StreamEvent[]): readonly string[] =>
  events.map(({ event, data }) => (event === "leg" ? `leg ${data.leg}` : event));

describe("the stream of a timeline", () => {
  test("tells each leg as it happens and ends when all are done", async () => {
    const world = await revokedWorld();
    sink.reply(world.path, () => "hang");
    const id = await world.revoke();
    const stream = await open(id, platform.operatorToken);
    expect(stream).toMatchObject({ status: 200, type: "text/event-stream; charset=utf-8" });
    expect(await stream.next()).toMatchObject({ event: "revocation", data: { revocation_id: id, done: false } });
    expect(await stream.next()).toMatchObject({ event: "leg", id: "1", data: { leg: "committed", state: "done" } });
    const caller = await world.marketplace.call();
    expectStatus(await caller.post(`/api/v1/revocations/${id}/acknowledgements`), 200);
    expect(await stream.next()).toMatchObject({ event: "leg", id: "2", data: { leg: "acknowledgement" } });
    sink.reply(world.path, () => ({ status: 200 }));
    sink.letGo();
    platform.clock.advance(10);
    const rest = await readToEnd(stream);
    expect(namesOf(rest)).toEqual(["leg webhook", "end"]);
    expect(rest.at(-1)?.data).toEqual({ reason: "done" });
  });

  test("goes on after the last id that a reader has, and says 204 when there is nothing more", async () => {
    const world = await revokedWorld();
    const id = await world.revoke();
    const first = await open(id, world.creator.token);
    await first.next();
    const leg = await first.next();
    first.close();
    expect(leg).toMatchObject({ event: "leg", id: "1" });
    expectStatus(await (await world.marketplace.call()).post(`/api/v1/revocations/${id}/acknowledgements`), 200);
    const again = await readToEnd(await open(world.jti, world.creator.token, leg?.id));
    expect(namesOf(again)).toEqual(
      ["revocation", "leg acknowledgement", "leg webhook", "end"].toSorted(byPlaceIn(again)),
    );
    expect(again.filter(({ event }) => event === "leg").map((event) => event.id)).toEqual(["2", "3"]);
    expect((await open(id, world.creator.token, "3")).status).toBe(204);
    expect(namesOf(await readToEnd(await open(id, world.creator.token))).filter((name) => name !== "leg")).toHaveLength(
      5,
    );
  });

  test("refuses an id of no stream, strangers, and more streams than a caller may have", async () => {
    const world = await revokedWorld();
    sink.reply(world.path, () => "hang");
    const id = await world.revoke();
    expect((await open(id, platform.operatorToken, "x")).status).toBe(422);
    const stranger = await enrolCreator(platform);
    expect((await open(id, stranger.token)).status).toBe(404);
    const opened = await Promise.all(Array.from({ length: 8 }, () => open(id, world.creator.token)));
    expect(opened.map(({ status }) => status)).toEqual(Array.from({ length: 8 }, () => 200));
    expect((await open(id, world.creator.token)).status).toBe(429);
    for (const stream of opened) stream.close();
    await expect
      .poll(
        async () => {
          const stream = await open(id, world.creator.token);
          stream.close();
          return stream.status;
        },
        { timeout: 15_000 },
      )
      .toBe(200);
    sink.letGo();
  });

  test("ends when the server stops, so that its reader goes to another one", async () => {
    const stopping = await startPlatform({ allowedHosts: [sink.host] });
    const creator = await enrolCreator(stopping);
    const work = await registerWork(stopping, creator.creatorId);
    const { jti } = await giveConsent(creator);
    const { dataset_id } = await publishDataset(stopping, [work]);
    const marketplace = await registerMarketplace(stopping, { base_url: sink.url("/b"), webhook_url: sink.url("/w") });
    await offerDataset(stopping, dataset_id, marketplace);
    expectStatus(await creator.caller.post(`/api/v1/consents/${jti}/revoke`), 200);
    const stream = await open(jti, stopping.operatorToken, undefined, stopping.origin);
    await stream.next();
    await Promise.all([
      stopping.server.stop(),
      readToEnd(stream).then((events) => expect(events.at(-1)).toEqual({ event: "end", data: { reason: "stopping" } })),
    ]);
  });
});

/** Acknowledgement and webhook happen at about the same time: in whichever order they were found. */
function byPlaceIn(events: readonly StreamEvent[]) {
  const names = namesOf(events);
  return (left: string, right: string): number => names.indexOf(left) - names.indexOf(right);
}
