import { type RunningServer, startServer } from "@licet/server";
import { describe, expect, inject, onTestFinished, test } from "vitest";
import { type Creator, enrolCreator, giveConsent, registerWork } from "./fixtures/actors.ts";
import { type Caller, createCaller } from "./fixtures/caller.ts";
import { checkPlatform } from "./fixtures/check-platform.ts";
import { configFor, createTestDatabase } from "./fixtures/databases.ts";
import { freePort } from "./fixtures/platform.ts";
import { engine } from "./fixtures/settings.ts";

const CLIENTS = 4;
/** How often the load balancer looks, and how long a server that stops gives it for that. */
const LOOK_MS = 20;
const UNREADY_SECONDS = 0.5;

interface Place {
  readonly port: number;
  server: RunningServer;
  /** What the load balancer believes. */
  isReady: boolean;
}

describe.skipIf(engine === "pglite")("two servers behind a load balancer that asks /readyz", () => {
  test("are stopped and started again in turn, and no client notices or loses anything", async () => {
    const database = await createTestDatabase(inject("templateFolder"));
    const ports = [await freePort(), await freePort()] as const;
    const origin = `http://127.0.0.1:${ports[0]}`;
    const start = (port: number): Promise<RunningServer> =>
      startServer({ config: configFor(database, { origin, port, unreadySeconds: UNREADY_SECONDS, drainSeconds: 10 }) });
    const first: Place = { port: ports[0], server: await start(ports[0]), isReady: true };
    const second: Place = { port: ports[1], server: await start(ports[1]), isReady: true };
    const places = [first, second];
    const operatorToken = first.server.bootstrapToken ?? "";
    const balancer = setInterval(() => places.forEach((place) => void look(place)), LOOK_MS);
    onTestFinished(async () => {
      clearInterval(balancer);
      for (const { server } of places) await server.stop();
      await database.drop();
    });

    const through = (token: string): Caller => balanced(places, token);
    const platform = {
      origin,
      operator: through(operatorToken),
      clock: { nowMs: () => Date.now(), advance: () => undefined },
      as: through,
    };
    const creators = await Promise.all(Array.from({ length: CLIENTS }, () => enrolCreator(platform)));
    const restarting = { isOver: false };
    const working = creators.map((creator) => revokeUntil(restarting, platform, creator));
    for (const place of places) {
      await place.server.stop();
      expect(place.isReady).toBe(false);
      place.server = await start(place.port);
      await expect.poll(() => place.isReady, { timeout: 30_000, interval: LOOK_MS }).toBe(true);
    }
    restarting.isOver = true;
    const acknowledged = (await Promise.all(working)).flat();

    expect(acknowledged.length).toBeGreaterThan(CLIENTS);
    for (const { port } of places) {
      const { body } = await createCaller(`http://127.0.0.1:${port}`).get("/.well-known/consent-revocations.json");
      expect(body.revocations.map((entry: { readonly jti: string }) => entry.jti)).toEqual(
        expect.arrayContaining(acknowledged),
      );
    }
    await checkPlatform({
      hasCrashed: true,
      origin,
      operatorToken,
      operator: createCaller(origin, operatorToken),
      anonymous: createCaller(origin),
      now: () => Math.floor(Date.now() / 1_000),
      furtherAddresses: [`http://127.0.0.1:${second.port}`],
    });
  });
});

/** Writes as long as the servers restart; an answer that is missing, or not the one expected, ends it all. */
async function revokeUntil(
  restarting: { readonly isOver: boolean },
  platform: Parameters<typeof registerWork>[0],
  creator: Creator,
): Promise<readonly string[]> {
  const acknowledged: string[] = [];
  while (!restarting.isOver) {
    const work = await registerWork(platform, creator.creatorId);
    const { jti } = await giveConsent(creator, { subject: `content:${work}` });
    const answer = await creator.caller.post(`/api/v1/consents/${jti}/revoke`, {});
    if (answer.status !== 200) throw new Error(`expected 200, got ${answer.status}: ${answer.text}`);
    acknowledged.push(jti);
  }
  return acknowledged;
}

async function look(place: Place): Promise<void> {
  const status = await fetch(`http://127.0.0.1:${place.port}/readyz`).then(
    (response) => response.status,
    () => 0,
  );
  place.isReady = status === 200;
}

/** Sends every request to one of the servers that are ready, in turn. */
function balanced(places: readonly Place[], token: string): Caller {
  let turn = 0;
  const next = (): Caller => {
    turn += 1;
    const ready = places.filter((place) => place.isReady);
    const place = ready[turn % ready.length];
    if (place === undefined) throw new Error("expected one server to be ready");
    return createCaller(`http://127.0.0.1:${place.port}`, token);
  };
  return {
    get: (path, headers) => next().get(path, headers),
    post: (path, body, headers) => next().post(path, body, headers),
    send: (method, path, init) => next().send(method, path, init),
  };
}
