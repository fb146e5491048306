import { type BenchSettings, type Measure, type Row } from "./row.ts";
import { writeReport } from "./report.ts";
import { measureEdge } from "./rows/edge.ts";
import { measureFanOut } from "./rows/fan-out.ts";
import { measurePropagation } from "./rows/propagation.ts";
import { measureReceipts } from "./rows/receipts.ts";
import { measureRevoke } from "./rows/revoke.ts";
import { measureRollups } from "./rows/rollups.ts";
import { measureServeStatus } from "./rows/serve-status.ts";
import { measureSignAgain } from "./rows/sign-again.ts";
import { measureStatusListSize } from "./rows/status-list-size.ts";
import { measureTokens } from "./rows/tokens.ts";
import { measureVerifyConsent } from "./rows/verify-consent.ts";

const USAGE = `npm run bench [-- --quick] [-- <name> …]

Measures what docs/architecture.md gives budgets for, each beside a bare baseline in the same run,
and rewrites docs/benchmarks.md when everything was measured in full.

  --quick    small sizes and few rounds: to see that it runs; writes nothing
  <name>     only these: `;

/** Everything that is measured, in the order of the report. */
const MEASURES: Readonly<Record<string, Measure>> = {
  "verify-consent": measureVerifyConsent,
  "serve-status": measureServeStatus,
  revoke: measureRevoke,
  "fan-out": measureFanOut,
  edge: measureEdge,
  propagation: measurePropagation,
  receipts: measureReceipts,
  rollups: measureRollups,
  "sign-again": measureSignAgain,
  tokens: measureTokens,
  "status-list-size": measureStatusListSize,
};

async function main(args: readonly string[]): Promise<number> {
  if (args.includes("--help")) {
    process.stdout.write(`${USAGE}${Object.keys(MEASURES).join(" ")}\n`);
    return 0;
  }
  const isQuick = args.includes("--quick");
  const names = args.filter((name) => name !== "--quick");
  const unknown = names.filter((name) => !Object.hasOwn(MEASURES, name));
  if (unknown.length > 0) {
    process.stderr.write(`bench: expected some of ${Object.keys(MEASURES).join(" ")}, got ${unknown.join(" ")}\n`);
    return 2;
  }
  const note = (text: string): void => void process.stderr.write(`${text}\n`);
  const settings: BenchSettings = { isQuick, postgresUrl: process.env["LICET_TEST_DATABASE_URL"], note };
  if (settings.postgresUrl === undefined)
    note("LICET_TEST_DATABASE_URL is not set: the embedded database alone is measured");
  const rows: Row[] = [];
  for (const [name, measure] of Object.entries(MEASURES)) {
    if (names.length > 0 && !names.includes(name)) continue;
    note(`${name} …`);
    const measured = await measure(settings).catch((error: unknown) => {
      note(`bench: ${name} failed: ${error instanceof Error ? error.message : String(error)}`);
    });
    if (measured === undefined) return 1;
    for (const row of measured) {
      rows.push(row);
      process.stdout.write(
        `${verdictOf(row)} ${row.what}: ${row.ours}, baseline ${row.baseline}, ratio ${row.ratio} (budget ${row.budget})\n`,
      );
    }
  }
  if (!isQuick && names.length === 0) await writeReport(rows, settings);
  return 0;
}

function verdictOf({ holds }: Row): string {
  if (holds === undefined) return "·";
  return holds ? "✓" : "✗";
}

process.exitCode = await main(process.argv.slice(2));
