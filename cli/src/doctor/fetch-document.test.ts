import { once } from "node:events";
import { createServer } from "node:http";
import { Readable } from "node:stream";
import { expect, onTestFinished, test } from "vitest";
import { fetchDocument } from "./fetch-document.ts";

test("a document that never ends is read no further than a document may be long", async () => {
  const left = Promise.withResolvers<void>();
  const server = createServer((_request, response) => {
    response.on("close", () => left.resolve());
    Readable.from(endless()).pipe(response);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => void server.close());
  const address = server.address();
  if (address === null || typeof address === "string") throw new TypeError("expected a port");
  await expect(fetchDocument(`http://127.0.0.1:${address.port}/`)).rejects.toThrow(
    "expected at most 16777216 bytes, got more",
  );
  await left.promise;
});

function* endless(): Generator<Buffer> {
  const chunk = Buffer.alloc(65_536, "a");
  for (;;) yield chunk;
}
