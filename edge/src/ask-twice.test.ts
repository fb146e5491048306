import { expect, test } from "vitest";
import { askTwice } from "./ask-twice.ts";

/** Fails so often, and then answers; tells how often it was asked. */
function failing(times: number): { readonly ask: () => Promise<Response>; readonly asked: () => number } {
  let asked = 0;
  return {
    asked: () => asked,
    ask: async () => {
      asked += 1;
      if (asked <= times) throw new TypeError(`failure ${asked}`);
      return new Response(String(asked));
    },
  };
}

test.each([
  [0, 1],
  [1, 2],
])("what failed %i times is asked %i times", async (times, expected) => {
  const { ask, asked } = failing(times);
  expect(await (await askTwice(ask)).text()).toBe(String(expected));
  expect(asked()).toBe(expected);
});

test("what failed twice has failed", async () => {
  const { ask, asked } = failing(2);
  await expect(askTwice(ask)).rejects.toThrow("failure 2");
  expect(asked()).toBe(2);
});

test("an answer of any kind is one, and what was given up is not asked for again", async () => {
  let asked = 0;
  const refused = await askTwice(async () => {
    asked += 1;
    return new Response("", { status: 503 });
  });
  expect([refused.status, asked]).toEqual([503, 1]);
  const signal = AbortSignal.abort(new Error("given up"));
  await expect(askTwice(() => fetch("http://127.0.0.1:9/", { signal }))).rejects.toThrow("given up");
});
