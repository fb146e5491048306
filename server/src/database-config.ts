import type { ReadNumber } from "./money-config.ts";

/** What PostgreSQL may take; the embedded database has one connection and waits for nobody. */
export interface DatabaseLimits {
  /** Connections at once, beside those of the job queue and the one that listens. */
  readonly poolSize: number;
  readonly statementSeconds: number;
  readonly lockSeconds: number;
  readonly idleTransactionSeconds: number;
}

/** `refuse` ends the start with the setting's name and what was expected of it. */
export function readDatabaseLimits(
  readNumber: ReadNumber,
  refuse: (name: string, sentence: string) => never,
): DatabaseLimits {
  const statementSeconds = readNumber("LICET_STATEMENT_SECONDS", 60, { min: 1, max: 3_600 });
  const lockSeconds = readNumber("LICET_LOCK_SECONDS", 20, { min: 1, max: 3_600 });
  if (lockSeconds > statementSeconds)
    refuse(
      "LICET_LOCK_SECONDS",
      `expected at most LICET_STATEMENT_SECONDS (${statementSeconds}), which the waiting counts towards, got ${lockSeconds}`,
    );
  return {
    poolSize: readNumber("LICET_DATABASE_POOL", 10, { min: 2, max: 1_000 }),
    statementSeconds,
    lockSeconds,
    idleTransactionSeconds: readNumber("LICET_IDLE_TRANSACTION_SECONDS", 60, { min: 1, max: 3_600 }),
  };
}
