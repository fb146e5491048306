import type { ServerResponse } from "node:http";
import type { Duplex } from "node:stream";
import { REFUSALS, type Refusal, problemOf, refuse } from "@licet/protocol";

/** The answer to what the parser could not read as HTTP/1.1, and the end of its connection. */
export function answerUnreadable(error: Error, socket: Duplex, { origin, open }: Situation): void {
  const isReset = "code" in error && error.code === "ECONNRESET";
  const isAnswering = open !== undefined && open.headersSent && !open.writableFinished;
  if (isReset || !socket.writable || isAnswering) {
    socket.destroy();
    return;
  }
  const refusal = refusalOf(error);
  const { status } = REFUSALS[refusal.code];
  const body = JSON.stringify(problemOf(refusal, origin));
  const head = [
    `HTTP/1.1 ${status} ${REFUSALS[refusal.code].title}`,
    "content-type: application/problem+json",
    "cache-control: no-store",
    `content-length: ${Buffer.byteLength(body)}`,
    "connection: close",
  ];
  socket.end(`${head.join("\r\n")}\r\n\r\n${body}`, () => socket.destroy());
}

export interface Situation {
  readonly origin: string;
  /** The latest answer on this connection: bytes in the middle of it would be read as part of it. */
  readonly open: ServerResponse | undefined;
}

function refusalOf(error: Error): Refusal {
  const code = "code" in error ? error.code : undefined;
  switch (code) {
    case "HPE_HEADER_OVERFLOW":
    case "HPE_CHUNK_EXTENSIONS_OVERFLOW":
      return refuse("headers_too_large", "expected headers of at most 16384 bytes").refusal;
    case "ERR_HTTP_REQUEST_TIMEOUT":
      return refuse("request_timeout", "expected the whole request in less time").refusal;
    default:
      return refuse("request_malformed", "expected an HTTP/1.1 request (RFC 9112)").refusal;
  }
}
