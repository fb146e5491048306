/** The HTTP status (RFC 9110), the problem's title and what the caller can do about it. */
export interface RefusalRow {
  readonly status: number;
  readonly title: string;
  readonly fix: string;
}

/** A row of the table of refusals. */
export function row(status: number, title: string, fix: string): RefusalRow {
  return { status, title, fix };
}
