import { isLicense, isQualifiedIdentifier, isWebUrl } from "@licet/protocol";
import type { LicetClient } from "@licet/sdk";
import { SingleBar } from "cli-progress";
import { resolve } from "node:path";
import { stat } from "node:fs/promises";
import { CommandError, type ExitCode, orFail } from "./command-error.ts";
import { createOwnClient } from "./credentials.ts";
import { countsOf, renderImport } from "./import-table.ts";
import { type ImportProgress, type ImportedFile, SILENT, importWorks } from "./import-works.ts";
import type { Settings } from "./settings.ts";
import { type Terminal, printable } from "./terminal.ts";

export interface ImportFlags {
  readonly creator: string;
  readonly baseUrl: string;
  readonly origin?: string;
  readonly token?: string;
  readonly license?: string;
  readonly register?: true;
  readonly dryRun?: true;
  readonly json?: true;
}

/** `licet import`: 0 when every work is registered, 1 when the server refused one. */
export async function importFolder(
  folderName: string,
  flags: ImportFlags,
  { settings, terminal }: { readonly settings: Settings; readonly terminal: Terminal },
): Promise<ExitCode> {
  const folder = await requireFolder(settings.workingFolder, folderName);
  const { creator: creatorId, license } = flags;
  if (!isQualifiedIdentifier(creatorId))
    throw new CommandError(`--creator: expected at most 128 letters, digits and : . _ ~ -, got ${creatorId}`);
  if (license !== undefined && !isLicense(license))
    throw new CommandError(`--license: expected a name and a version such as paid_training:1.0, got ${license}`);
  const baseUrl = readBaseUrl(flags.baseUrl);
  const client =
    flags.dryRun === true
      ? undefined
      : createOwnClient(
          settings,
          flags,
          flags.register === true ? "content:read content:write creators:write" : "content:read content:write",
        );
  if (client !== undefined && flags.register === true) await registerCreator(client, creatorId);
  const progress = terminal.isWatched && flags.json !== true ? createBar() : SILENT;
  const files = await importWorks({ folder, creatorId, baseUrl, license }, { client, progress });
  if (flags.json === true) terminal.print(JSON.stringify(reportOf(files, { folder, creator_id: creatorId }), null, 2));
  else terminal.print(renderImport(files, terminal));
  return files.some(({ status }) => status === "refused") ? 1 : 0;
}

async function requireFolder(workingFolder: string, name: string): Promise<string> {
  const folder = resolve(workingFolder, name);
  const found = await stat(folder).catch(() => undefined);
  if (found?.isDirectory() !== true)
    throw new CommandError(`expected a folder, got ${name}, which is ${found === undefined ? "not there" : "not one"}`);
  return folder;
}

/** A base URL that ends with a slash. Refuses what has a query or a fragment: paths are added to it. */
function readBaseUrl(text: string): string {
  const baseUrl = text.endsWith("/") ? text : `${text}/`;
  if (!isWebUrl(baseUrl) || new URL(baseUrl).search !== "")
    throw new CommandError(
      `--base-url: expected an http(s) URL without query or fragment, such as https://platform.example/works/, got ${text}`,
    );
  return new URL(baseUrl).href;
}

/** A creator who is known already is as good as one registered now. */
async function registerCreator(client: LicetClient, creatorId: string): Promise<void> {
  const registered = await client.sendJson({
    method: "POST",
    path: "/api/v1/creators",
    body: { creator_id: creatorId },
  });
  if (!registered.ok && registered.refusal.status !== 409) orFail(registered);
}

function reportOf(
  files: readonly ImportedFile[],
  about: { readonly folder: string; readonly creator_id: string },
): object {
  return {
    ...about,
    counts: countsOf(files),
    works: files.map(({ relativePath, status, reason, code, record }) => ({
      path: relativePath,
      status,
      reason,
      code,
      ...record,
    })),
  };
}

function createBar(): ImportProgress {
  const bar = new SingleBar({
    format: "{bar} {percentage}%  {file}",
    barsize: 30,
    clearOnComplete: true,
    // Its handler would keep Ctrl-C from ending us; with the cursor and the wrapping left alone there is nothing to restore.
    gracefulExit: false,
    hideCursor: false,
    linewrap: true,
  });
  return {
    begin: (totalBytes) => bar.start(totalBytes, 0, { file: "" }),
    read: (byteCount, relativePath) => bar.increment(byteCount, { file: printable(relativePath).slice(-50) }),
    end: () => bar.stop(),
  };
}
