import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { readConfig, startServer } from "@licet/server";

/** `npm run openapi`: writes the document that `/openapi.json` serves to `server/openapi.json`. */
const folder = await mkdtemp(join(tmpdir(), "licet-openapi-"));
const server = await startServer({
  config: readConfig({ LICET_PORT: "0", LICET_DATA_DIR: folder, LICET_LOG_LEVEL: "error", LICET_DRAIN_SECONDS: "0" }),
});
const response = await fetch(`${server.origin}/openapi.json`);
await writeFile(
  new URL("../server/openapi.json", import.meta.url),
  `${JSON.stringify(await response.json(), null, 2)}\n`,
);
await server.stop();
await rm(folder, { recursive: true, force: true });
