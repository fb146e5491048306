import { type RawBuilder, sql } from "kysely";

/**
 * A list as one parameter: `where("jti", "=", anyOf(jtis))`. A statement carries at most 65 535
 * parameters, which a list of them would reach.
 */
export function anyOf(values: readonly string[]): RawBuilder<string> {
  return sql<string>`any(${[...values]}::text[])`;
}

export function anyOfNumbers(values: readonly number[]): RawBuilder<number> {
  return sql<number>`any(${[...values]}::int[])`;
}
