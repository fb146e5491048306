import { type IncomingMessage, type ServerResponse, createServer } from "node:http";
import { Buffer } from "node:buffer";

/** A real HTTP listener on a free port of this machine. Its handler may be set once its origin is known. */
export interface Listener {
  readonly origin: string;
  readonly answerWith: (handle: (request: Request) => Promise<Response>) => void;
  readonly close: () => Promise<void>;
}

export async function listen(): Promise<Listener> {
  let handle: (request: Request) => Promise<Response> = async () => new Response(null, { status: 503 });
  const server = createServer((incoming, outgoing) => {
    relay(incoming, outgoing, (request) => handle(request)).catch((error: unknown) =>
      outgoing.destroy(error instanceof Error ? error : undefined),
    );
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("expected a TCP address");
  return {
    origin: `http://127.0.0.1:${address.port}`,
    answerWith: (next) => void (handle = next),
    close: () =>
      new Promise((resolve, reject) => {
        server.close((error) => (error === undefined ? resolve() : reject(error)));
        server.closeAllConnections();
      }),
  };
}

async function relay(
  incoming: IncomingMessage,
  outgoing: ServerResponse,
  handle: (request: Request) => Promise<Response>,
): Promise<void> {
  const chunks: Buffer[] = [];
  for await (const chunk of incoming) chunks.push(Buffer.from(chunk));
  const headers = new Headers();
  for (const [name, value] of Object.entries(incoming.headers)) if (typeof value === "string") headers.set(name, value);
  const { method = "GET", url = "/" } = incoming;
  const body = method === "GET" || method === "HEAD" ? {} : { body: Buffer.concat(chunks) };
  const response = await handle(new Request(`http://${headers.get("host") ?? ""}${url}`, { method, headers, ...body }));
  outgoing.writeHead(response.status, Object.fromEntries(response.headers));
  outgoing.end(Buffer.from(await response.arrayBuffer()));
}
