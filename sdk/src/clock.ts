/** The present, in seconds since the epoch: what `now` is unless a caller brings a clock. */
export function epochSeconds(): number {
  return Math.floor(Date.now() / 1000);
}
