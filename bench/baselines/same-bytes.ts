import { createServer } from "node:http";

/** A bare node:http server that answers everything with the bytes it was given: `same-bytes.ts <base64>`. */
const bytes = Buffer.from(process.argv[2] ?? "", "base64");
const server = createServer((_request, response) => {
  response.writeHead(200, {
    "content-type": "application/json",
    "content-length": bytes.length,
    etag: '"the-same"',
    "cache-control": "public, max-age=15",
    "access-control-allow-origin": "*",
  });
  response.end(bytes);
});
server.listen(0, "127.0.0.1", () => {
  const address = server.address();
  const port = typeof address === "object" && address !== null ? address.port : 0;
  process.stdout.write(`${JSON.stringify({ ready: true, origin: `http://127.0.0.1:${port}` })}\n`);
});
process.stdin.on("end", () => process.exit(0)).resume();
