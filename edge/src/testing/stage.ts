import type { PrivateJwk } from "@licet/protocol";
import { inject } from "vitest";

declare module "vitest" {
  interface ProvidedContext {
    readonly stageOrigin: string;
  }
}

/** What a server on the stage answers to one path, or with `*` to every other. */
export interface StagedAnswer {
  readonly status?: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  readonly delayMs?: number;
  /** The connection is closed without an answer: always, or once, and from then on the answer is what it was before. */
  readonly hangsUp?: boolean | "once";
}

export interface SentRequest {
  readonly method: string;
  readonly url: string;
  readonly headers: readonly (readonly [string, string])[];
  readonly body: string;
}

/** A real server of its own, run by the process that runs the tests. */
export interface Stand {
  readonly origin: string;
  readonly answer: (answers: Readonly<Record<string, StagedAnswer>>) => Promise<void>;
  readonly requests: () => Promise<readonly SentRequest[]>;
  readonly shut: () => Promise<void>;
}

export async function openStand(): Promise<Stand> {
  const stage = inject("stageOrigin");
  const opened = await fetch(`${stage}/stands`, { method: "POST" });
  const { origin } = (await opened.json()) as { readonly origin: string };
  const place = `${stage}/stands/${new URL(origin).port}`;
  const direct = async (method: string, body?: string): Promise<string> => {
    const response = await fetch(place, { method, ...(body === undefined ? {} : { body }) });
    if (!response.ok) throw new Error(`the stage answered ${response.status}`);
    return response.text();
  };
  return {
    origin,
    answer: async (answers) => void (await direct("PUT", JSON.stringify(answers))),
    requests: async () => JSON.parse(await direct("GET")) as readonly SentRequest[],
    shut: async () => void (await direct("DELETE")),
  };
}

/** A request that the stage signs as RFC 9421 says; `params` in the order in which they are written. */
export interface SigningTask {
  readonly jwk: PrivateJwk;
  readonly alg: string;
  readonly keyId: string;
  readonly fields: readonly string[];
  readonly params: Readonly<Record<string, number | string>>;
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
}

/** The headers of a request together with its signature, by a library that is not ours. */
export async function signOnStage(task: SigningTask): Promise<readonly (readonly [string, string])[]> {
  const response = await fetch(`${inject("stageOrigin")}/signatures`, { method: "POST", body: JSON.stringify(task) });
  if (!response.ok) throw new Error(`the stage answered ${response.status}: ${await response.text()}`);
  return Object.entries((await response.json()) as Readonly<Record<string, string>>);
}
