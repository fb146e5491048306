import type { Refusal } from "@licet/protocol";

/** What a command ends with: 1 when what it checked does not hold, 2 when it was asked the wrong way. */
export type ExitCode = 0 | 1 | 2;

/** Ends a command with one line on standard error that says what was expected and what came. */
export class CommandError extends Error {
  readonly exitCode: ExitCode;

  constructor(message: string, exitCode: ExitCode = 2) {
    super(message);
    this.exitCode = exitCode;
  }
}

/** The value of a result, or a {@link CommandError} with the refusal's own words. */
export function orFail<T>(
  result: { readonly ok: true; readonly value: T } | { readonly ok: false; readonly refusal: Refusal },
  exitCode: ExitCode = 2,
): T {
  if (result.ok) return result.value;
  throw new CommandError(result.refusal.detail, exitCode);
}

/** What went wrong, in one line. */
export function reasonOf(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).replace(/\s*\n\s*/g, " ");
}

/** Ends the command with a clear sentence when what it is about to claim is not so. */
export function claim(holds: boolean, otherwise: string): asserts holds {
  if (!holds) throw new CommandError(otherwise, 1);
}
