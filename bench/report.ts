import { readFile, writeFile } from "node:fs/promises";
import { availableParallelism, cpus, totalmem } from "node:os";
import type { BenchSettings, Row } from "./row.ts";

const FILE = new URL("../docs/benchmarks.md", import.meta.url);
/** What a person writes about the numbers stands below this line and is kept. */
const NOTES = "## What falls short, and why";

/** Rewrites docs/benchmarks.md: the machine, the table, how each was measured; the notes stay. */
export async function writeReport(rows: readonly Row[], { postgresUrl }: BenchSettings): Promise<void> {
  const notes = (await readFile(FILE, "utf8").catch(() => "")).split(NOTES)[1] ?? "\n\nNothing was noted.\n";
  const today = new Date().toISOString().slice(0, 10);
  const model = cpus()[0]?.model ?? "unknown processor";
  const lines = [
    "# Benchmarks",
    "",
    `Written by \`npm run bench\` on ${today}: ${availableParallelism()} cores (${model}), ${Math.round(totalmem() / 2 ** 30)} GiB, Node ${process.versions.node}, ${postgresUrl === undefined ? "PGlite alone" : "PGlite and PostgreSQL on the same machine"}. Load, server and database share those cores, and the machine is shared with others: compare ratios, not numbers.`,
    "",
    "| what | budget | measured | bare baseline | ratio | holds |",
    "| --- | --- | --- | --- | --- | --- |",
    ...rows.map(
      (row) => `| ${[row.what, row.budget, row.ours, row.baseline, row.ratio, verdictOf(row)].join(" | ")} |`,
    ),
    "",
    "## How",
    "",
    ...rows.map((row) => `- **${row.what}.** ${row.how}`),
    "",
  ];
  await writeFile(FILE, `${lines.join("\n")}\n${NOTES}${notes}`);
}

function verdictOf({ holds }: Row): string {
  if (holds === undefined) return "–";
  return holds ? "yes" : "**no**";
}
