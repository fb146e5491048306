/**
 * What PostgreSQL says when it cannot be asked now: connection exceptions (08), no room (53: disk
 * full, out of memory, too many connections), being stopped or started (57P), and a statement or a
 * lock that took too long (57014, 55P03, 25P03).
 */
const AWAY_STATES = /^(08...|53...|57P..|57014|55P03|25P03)$/;
/** What the system says of a connection, a name, or a disk. */
const AWAY_CODES: ReadonlySet<string> = new Set([
  "ECONNREFUSED",
  "ECONNRESET",
  "EHOSTUNREACH",
  "ENETUNREACH",
  "ENOTFOUND",
  "EAI_AGAIN",
  "EPIPE",
  "ETIMEDOUT",
  "ENOSPC",
]);
/** node-postgres has no code for these. */
const AWAY_MESSAGES =
  /^(Connection terminated|timeout exceeded when trying to connect|Client has encountered a connection error|Query read timeout|Client was closed)/;

/** True for an error that says that the database is away or has no room, so that coming back later may help. */
export function isDatabaseAway(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  if (error instanceof AggregateError && error.errors.some(isDatabaseAway)) return true;
  if (AWAY_MESSAGES.test(error.message)) return true;
  const code = "code" in error && typeof error.code === "string" ? error.code : "";
  return AWAY_CODES.has(code) || AWAY_STATES.test(code) || isDatabaseAway(error.cause);
}
