import { readManifestUrl, verifyDataset } from "@licet/sdk";
import { type Verdict, renderChecklist, verdictOf } from "./checklist.ts";
import { type ExitCode, orFail } from "./command-error.ts";
import { createMarketplaceClient } from "./credentials.ts";
import type { Settings } from "./settings.ts";
import type { Terminal } from "./terminal.ts";

export interface VerifyFlags {
  readonly json?: true;
  readonly allowPartial?: true;
  readonly test?: true;
}

/**
 * `licet verify`: 0 when nothing failed, 1 when something did or when items are withdrawn, 2 when
 * the platform did not show what was to be checked. What could not be established without
 * credentials is named, and does not fail.
 */
export async function verifyManifest(
  manifestUrl: string,
  flags: VerifyFlags,
  { settings, terminal }: { readonly settings: Settings; readonly terminal: Terminal },
): Promise<ExitCode> {
  const { origin } = orFail(readManifestUrl(manifestUrl));
  const client = createMarketplaceClient(settings, origin, "datasets:read");
  // The items stream by: a checklist needs none of them, at any size of the dataset.
  const report = await verifyDataset(manifestUrl, {
    onItem: () => undefined,
    allowTest: flags.test === true,
    ...(client === undefined ? {} : { client }),
  });
  const verdict = verdictOf(report);
  const exitCode = exitCodeOf(verdict, flags);
  if (flags.json === true)
    terminal.print(
      JSON.stringify(
        {
          manifest_url: manifestUrl,
          ...(flags.test === true ? { test: true } : {}),
          verdict,
          exit_code: exitCode,
          checks: report.checks,
          summary: report.summary,
        },
        null,
        2,
      ),
    );
  else terminal.print(renderChecklist(report, terminal, flags));
  return exitCode;
}

export function exitCodeOf(verdict: Verdict, { allowPartial }: VerifyFlags): ExitCode {
  if (verdict === "failed") return 1;
  if (verdict === "untried") return 2;
  return verdict === "withdrawn" && allowPartial !== true ? 1 : 0;
}
