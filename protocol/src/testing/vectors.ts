import testKeys from "../../vectors/keys.json" with { type: "json" };
import { type RefusalCode, type Result } from "../refusal.ts";
import { type PrivateJwk } from "../signature.ts";

/** What a vector says is to come out: the answer, or the code of the refusal. */
type Expected<Answer> = ({ readonly ok: true } & Answer) | { readonly ok: false; readonly code: RefusalCode };

export type Vector<Input, Answer> = Input & { readonly name: string; readonly expect: Expected<Answer> };

/** The cases of a vector file. JSON modules have no useful types of their own; here they get them. */
export function casesOf<Input, Answer = object>(file: {
  readonly cases: readonly unknown[];
}): readonly Vector<Input, Answer>[] {
  return file.cases as readonly Vector<Input, Answer>[];
}

/** A result as a vector writes it: the answer as `shown`, or the code. */
export function outcome<T>(result: Result<T>, shown: (value: T) => object = () => ({})): object {
  return result.ok ? { ok: true, ...shown(result.value) } : { ok: false, code: result.refusal.code };
}

export type TestKeyName = keyof typeof testKeys.keys;

/** The private half of a test key. */
export function testKey(name: TestKeyName): PrivateJwk {
  return testKeys.keys[name].jwk as PrivateJwk;
}

export const WEBHOOK_SECRETS = testKeys.webhook_secrets;

/** How often the tests that throw dice do so; more with LICET_ROUNDS where there is an environment. */
export const ROUNDS = Number(globalThis.process?.env["LICET_ROUNDS"] ?? 200);

/** Dice that fall the same way for the same seed (mulberry32), from 0 up to `below`. */
export function diceFrom(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below;
  };
}
