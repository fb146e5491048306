import type { LicetClient } from "@licet/sdk";
import { CommandError } from "./command-error.ts";
import { type WorkOrigin, type WorkRecord, describeWork } from "./describe-work.ts";
import { readKnownWorks } from "./known-works.ts";
import { listFiles } from "./list-files.ts";
import { MAX_BATCH_WORKS, type Registration, registerWorks } from "./register-works.ts";

/** What became of a file. `described`: it would be registered, had this not been a dry run. */
export type ImportStatus = Registration["status"] | "skipped" | "described";

export interface ImportedFile {
  readonly relativePath: string;
  readonly status: ImportStatus;
  readonly reason?: string;
  readonly code?: string;
  readonly record?: WorkRecord;
}

/** Told while an import runs. */
export interface ImportProgress {
  readonly begin: (totalBytes: number) => void;
  readonly read: (byteCount: number, relativePath: string) => void;
  readonly end: () => void;
}

export const SILENT: ImportProgress = { begin: () => undefined, read: () => undefined, end: () => undefined };

export interface ImportOptions {
  /** Without one nothing is registered: a dry run. */
  readonly client: LicetClient | undefined;
  readonly progress?: ImportProgress;
}

/**
 * Imports a folder: every work below it is read once, described, and registered in batches. What is
 * no work is skipped with a reason; what the server does not take is refused with its reason. The
 * same folder again changes nothing.
 *
 * @example
 * const files = await importWorks({ folder: "works", creatorId: "user:1", baseUrl: "https://platform.example/works/" }, { client });
 */
export async function importWorks(
  origin: WorkOrigin,
  { client, progress = SILENT }: ImportOptions,
): Promise<readonly ImportedFile[]> {
  const listing = await listFiles(origin.folder);
  const known =
    client === undefined || listing.files.length === 0 ? undefined : await readKnownWorks(client, origin.creatorId);
  const done: ImportedFile[] = listing.skipped.map(({ relativePath, reason }) => ({
    relativePath,
    status: "skipped",
    reason,
  }));
  let batch: DescribedFile[] = [];

  async function flush(): Promise<void> {
    if (batch.length === 0) return;
    done.push(
      ...(client === undefined
        ? batch.map((file) => ({ ...file, status: "described" as const }))
        : await register(client, batch)),
    );
    batch = [];
  }

  progress.begin(listing.files.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0));
  try {
    for (const { relativePath } of listing.files) {
      const description = await describeWork(origin, relativePath, (byteCount) =>
        progress.read(byteCount, relativePath),
      );
      if (description.isWork)
        batch.push({ relativePath, record: keepDate(origin, relativePath, description.record, known) });
      else done.push({ relativePath, status: "skipped", reason: description.reason });
      if (batch.length === MAX_BATCH_WORKS) await flush();
    }
    await flush();
  } finally {
    progress.end();
  }
  return done.sort((left, right) => (left.relativePath < right.relativePath ? -1 : 1));
}

interface DescribedFile {
  readonly relativePath: string;
  readonly record: WorkRecord;
}

async function register(client: LicetClient, batch: readonly DescribedFile[]): Promise<readonly ImportedFile[]> {
  const registrations = await registerWorks(
    client,
    batch.map(({ record }) => record),
  );
  const creatorId = batch[0]?.record.creator_id;
  if (registrations.every(isCreatorUnknown))
    throw new CommandError(
      `expected a registered creator, got ${creatorId}, whom ${client.origin} does not know: add --register to register them`,
    );
  return batch.flatMap((file, index) => {
    const registration = registrations[index];
    return registration === undefined ? [] : [{ ...file, ...registration }];
  });
}

/** The one refusal that every work of an import shares. */
function isCreatorUnknown({ code, reason }: Registration): boolean {
  return code === "not_found" && reason?.startsWith("creator_id") === true;
}

/** A date that comes from the file gives way to the one the same bytes were registered with. */
function keepDate(
  origin: WorkOrigin,
  relativePath: string,
  record: WorkRecord,
  known: Awaited<ReturnType<typeof readKnownWorks>> | undefined,
): WorkRecord {
  const held = known?.get(record.content_id);
  if (held?.sha256 !== record.sha256 || origin.createdAtOf?.(relativePath) !== undefined) return record;
  return { ...record, created_at: held.created_at };
}
