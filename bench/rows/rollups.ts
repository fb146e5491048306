import { type RunningServer, startServer } from "@licet/server";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import pg from "pg";
import {
  enrolCreator,
  expectStatus,
  giveConsent,
  publishDataset,
  registerMarketplace,
  registerWork,
  uniqueId,
} from "../../test/fixtures/actors.ts";
import { type Caller, createCaller } from "../../test/fixtures/caller.ts";
import { configFor } from "../../test/fixtures/databases.ts";
import { createTestClock } from "../../test/fixtures/test-clock.ts";
import { createDatabase } from "../platform.ts";
import { type BenchSettings, type Row, byTurns, digits, median } from "../row.ts";

const DATASETS = 20;
const MARKETPLACES = 10;
const MODELS = 50;
const DAYS = 365;
const RECEIPTS = 1_000_000;
const CHUNK = 50_000;
const ROUNDS = 5;
const POLL_MS = 100;
const MAX_COUNTING_MS = 900_000;

/** What is asked of the rollups, and the same of the receipts themselves. */
const QUESTIONS = [
  { what: "by dataset and unit, a year", path: "group_by=dataset,unit", keys: "dataset_id, unit", where: "true" },
  {
    what: "by day, one marketplace",
    path: "group_by=day&marketplace_id=$mkt",
    keys: "accepted_at / 86400",
    where: "marketplace_id = '$mkt'",
  },
  {
    what: "by model and dataset, thirty days",
    path: "group_by=model,dataset&from=$from",
    keys: "model_fingerprint, model_id, dataset_id",
    where: "accepted_at >= extract(epoch from date '$from')",
  },
] as const;

/** Reports on usage beside the aggregate over the receipts, and how fast everything is counted anew. On PostgreSQL: nobody keeps a million receipts in the embedded database. */
export async function measureRollups({ isQuick, postgresUrl, note }: BenchSettings): Promise<readonly Row[]> {
  if (postgresUrl === undefined) return [];
  const folder = await mkdtemp(join(tmpdir(), "licet-bench-"));
  const database = await createDatabase(postgresUrl);
  const sql = new pg.Client({ connectionString: database.url });
  const config = configFor({ dataFolder: folder, databaseUrl: database.url });
  const server = await startServer({ config, clock: createTestClock() });
  try {
    await sql.connect();
    const operator = createCaller(server.origin, server.bootstrapToken);
    const count = isQuick ? 5_000 : RECEIPTS;
    note(`  filling PostgreSQL with ${count} receipts and their charges`);
    const marketplaceId = await fill(server, { operator, sql, count });
    await counted(operator);
    const startedAt = performance.now();
    expectStatus(await operator.post("/api/v1/analytics/rebuild"), 202);
    await counted(operator);
    const seconds = (performance.now() - startedAt) / 1_000;
    const { agrees } = expectStatus(await operator.get("/api/v1/analytics/check"), 200).body;
    if (agrees !== true) throw new Error("expected rollups that agree with receipts and ledger");
    const rows: Row[] = [];
    for (const question of QUESTIONS)
      rows.push(await ask(question, { sql, operator, count, marketplaceId, rounds: isQuick ? 1 : ROUNDS }));
    return [...rows, rebuildRow(count, seconds)];
  } finally {
    await sql.end();
    await server.stop();
    await database.drop();
    await rm(folder, { recursive: true, force: true });
  }
}

interface Measured {
  readonly sql: pg.Client;
  readonly operator: Caller;
  readonly count: number;
  readonly marketplaceId: string;
  readonly rounds: number;
}

async function ask(
  { what, path, keys, where }: (typeof QUESTIONS)[number],
  { sql, operator, count, marketplaceId, rounds }: Measured,
): Promise<Row> {
  const from = new Date(Date.now() - 30 * 86_400_000).toISOString().slice(0, 10);
  const named = (text: string): string => text.replaceAll("$mkt", marketplaceId).replaceAll("$from", from);
  const raw = `select ${keys}, currency, count(*), sum(units), sum(charged_micros) from usage_receipt where ${named(where)} group by ${keys}, currency`;
  const samples = await byTurns(
    rounds,
    async () => expectStatus(await operator.get(`/api/v1/analytics/usage?limit=1000&${named(path)}`), 200),
    async () => sql.query(raw),
  );
  const [ours, baseline] = [median(samples.ours), median(samples.baseline)];
  return {
    what: `usage ${what}, ${digits(count)} receipts, PostgreSQL`,
    budget: "–",
    ours: `${digits(ours)} ms`,
    baseline: `${digits(baseline)} ms`,
    ratio: digits(ours / baseline),
    holds: undefined,
    how: `over HTTP; ${DATASETS} datasets, ${MARKETPLACES} marketplaces, ${MODELS} models that use four datasets each, ${DAYS} days; ${rounds} rounds by turns, medians. The baseline is the same aggregate over the receipts in SQL.`,
  };
}

function rebuildRow(count: number, seconds: number): Row {
  return {
    what: `counting ${digits(count)} receipts and their charges anew, PostgreSQL`,
    budget: "–",
    ours: `${digits(count / seconds)}/s, ${digits(seconds)} s`,
    baseline: "–",
    ratio: "–",
    holds: undefined,
    how: "POST /api/v1/analytics/rebuild until everything is counted, by the server's own worker, once; then the check must agree.",
  };
}

/** Waits until everything is counted. */
async function counted(operator: Caller): Promise<void> {
  const startedAt = performance.now();
  for (;;) {
    const { body } = expectStatus(await operator.get("/api/v1/analytics/progress"), 200);
    if (body.complete_to.is_current === true) return;
    if (performance.now() - startedAt > MAX_COUNTING_MS) throw new Error("expected the rollups to be counted in time");
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}

/** Datasets and marketplaces through the front door; receipts and what the ledger has of them in SQL, since a million take long to sign. */
async function fill(
  { origin }: RunningServer,
  { operator, sql, count }: Pick<Measured, "operator" | "sql" | "count">,
): Promise<string> {
  const as = (token: string): Caller => createCaller(origin, token);
  const platform = { origin, operator, anonymous: createCaller(origin), clock: createTestClock(), as };
  const creator = await enrolCreator(platform);
  await giveConsent(creator);
  const work = await registerWork(platform, creator.creatorId);
  const datasets: string[] = [];
  for (let index = 0; index < DATASETS; index += 1)
    datasets.push((await publishDataset(platform, [work], { name: uniqueId("Collection ") })).dataset_id);
  const marketplaces: string[] = [];
  for (let index = 0; index < MARKETPLACES; index += 1)
    marketplaces.push((await registerMarketplace(platform)).marketplaceId);
  await sql.query(
    `insert into ledger_account (kind, owner, currency)
     select 'pool', id || '/1', 'USD' from unnest($1::text[]) id
     union all select 'marketplace', id, 'USD' from unnest($2::text[]) id`,
    [datasets, marketplaces],
  );
  const now = Math.floor(Date.now() / 1_000);
  for (let first = 0; first < count; first += CHUNK)
    await fillChunk(sql, { datasets, marketplaces, now, first, end: Math.min(count, first + CHUNK) });
  await sql.query("analyze");
  return marketplaces[0] ?? "";
}

interface Chunk {
  readonly datasets: readonly string[];
  readonly marketplaces: readonly string[];
  readonly now: number;
  readonly first: number;
  readonly end: number;
}

async function fillChunk(sql: pg.Client, { datasets, marketplaces, now, first, end }: Chunk): Promise<void> {
  await sql.query("begin");
  await sql.query(
    `create temporary table sample on commit drop as
     select n, ($1::text[])[1 + (n % 5) * 4 + (n / ${MODELS}) % 4] as dataset_id,
            ($2::text[])[1 + n % ${MARKETPLACES}] as marketplace_id,
            md5((n % ${MODELS})::text) || md5((n % ${MODELS})::text) as model_fingerprint,
            'model-' || n % ${MODELS} as model_id,
            $3::bigint - ((n::bigint * 7919) % ${DAYS}) * 86400 as at, 1000 + n % 977 as units
       from generate_series($4::int, $5::int) n`,
    [datasets, marketplaces, now, first, end - 1],
  );
  await sql.query(
    `insert into usage_receipt (receipt_id, marketplace_id, dataset_id, dataset_version, nonce, sha256, model_id,
                                model_fingerprint, unit, units, receipt, accepted_at, charged_micros, currency,
                                period_from, period_to)
     select 'r_' || n, marketplace_id, dataset_id, 1, 'nonce-' || n, '', model_id, model_fingerprint, 'tokens', units,
            '{}', at, units * 100, 'USD', at, at from sample order by n`,
  );
  await sql.query(
    `insert into ledger_transaction (transaction_id, kind, reference, currency, value_at, recorded_at, explanation)
     select 'ltx_' || n, 'usage_charge', marketplace_id || '/r_' || n, 'USD', at, at,
            json_build_object('unit', 'tokens', 'model_id', model_id, 'model_fingerprint', model_fingerprint)::text
       from sample order by n`,
  );
  await sql.query(
    `insert into ledger_entry (transaction_id, account_id, currency, amount)
     select 'ltx_' || n, account_id, 'USD', case account.kind when 'pool' then -units * 100 else units * 100 end
       from sample join ledger_account account on account.owner = marketplace_id or account.owner = dataset_id || '/1'
      order by n`,
  );
  await sql.query("commit");
}
