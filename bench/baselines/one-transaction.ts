import { PGlite } from "@electric-sql/pglite";
import { generateKeyPairSync, randomBytes, sign } from "node:crypto";
import { createServer } from "node:http";
import pg from "pg";

/**
 * The least a revocation can cost: a bare node:http server that, for each POST, signs DOCUMENTS
 * texts with Ed25519 and writes them in one transaction, with three rows beside them.
 * `one-transaction.ts <documents> <folder for PGlite | postgres://…>`
 */
const [count = "12", place = ""] = process.argv.slice(2);
const DOCUMENTS = Number(count);
const DOCUMENT_BYTES = 1_500;
const { privateKey } = generateKeyPairSync("ed25519");

type Query = (text: string, values?: unknown[]) => Promise<unknown>;
type InTransaction = (work: (query: Query) => Promise<void>) => Promise<void>;

const inTransaction = place.startsWith("postgres") ? onPostgres() : await onPglite();
await inTransaction(async (query) => {
  await query("create table baseline_document (path text primary key, seq int not null, bytes bytea not null)");
  await query("create table baseline_row (id text primary key, body text not null)");
  for (let index = 0; index < DOCUMENTS; index += 1)
    await query("insert into baseline_document values ($1, 0, '')", [`/${index}`]);
});

const server = createServer((request, response) => {
  request.resume();
  request.on("end", () => {
    void revoke().then(() => response.writeHead(200, { "content-type": "application/json" }).end("{}"));
  });
});
server.listen(0, "127.0.0.1", () => {
  const address = server.address();
  const port = typeof address === "object" && address !== null ? address.port : 0;
  process.stdout.write(`${JSON.stringify({ ready: true, origin: `http://127.0.0.1:${port}` })}\n`);
});
process.stdin.on("end", () => process.exit(0)).resume();

async function revoke(): Promise<void> {
  await inTransaction(async (query) => {
    for (let row = 0; row < 3; row += 1)
      await query("insert into baseline_row values ($1, $2)", [randomBytes(16).toString("hex"), "{}"]);
    await query("select path from baseline_document order by path for update");
    for (let index = 0; index < DOCUMENTS; index += 1) {
      const text = randomBytes(DOCUMENT_BYTES);
      const bytes = Buffer.concat([text, sign(null, text, privateKey)]);
      await query("update baseline_document set seq = seq + 1, bytes = $1 where path = $2", [bytes, `/${index}`]);
    }
  });
}

function onPostgres(): InTransaction {
  const pool = new pg.Pool({ connectionString: place, max: 10 });
  return async (work) => {
    const client = await pool.connect();
    await client.query("begin");
    await work((text, values) => client.query(text, values));
    await client.query("commit");
    client.release();
  };
}

async function onPglite(): Promise<InTransaction> {
  const pglite = await PGlite.create(place);
  return (work) => pglite.transaction((trx) => work((text, values) => trx.query(text, values)));
}
