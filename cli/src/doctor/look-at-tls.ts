import { isIP } from "node:net";
import { type SecureVersion, connect } from "node:tls";
import { type Finding, findingOf, reasonBelow, warning, wrong } from "./finding.ts";

const TIMEOUT_MS = 10_000;
const DAY_MS = 86_400_000;
/** Whoever renews by machine does so a month ahead: later means that nobody does. */
const WARNING_DAYS = 21;
const WRONG_DAYS = 7;

interface Handshake {
  readonly protocol: string;
  /** Why the certificate is not believed; undefined when it is. */
  readonly distrust: string | undefined;
  readonly daysLeft: number;
}

/** TLS as a stranger meets it: the version, the chain, the days that are left, and whether anything older is taken. */
export async function lookAtTls(origin: string, nowMs: number): Promise<Finding | undefined> {
  const { protocol, hostname, port } = new URL(origin);
  if (protocol !== "https:") return undefined;
  const host = hostname.replace(/^\[(.*)\]$/, "$1");
  const at = { host, port: port === "" ? 443 : Number(port), nowMs };
  try {
    const made = await shakeHands(at);
    const older = await shakeHands(at, "TLSv1.2").then(
      () => true,
      () => false,
    );
    const problems = [
      ...(made.protocol === "TLSv1.3"
        ? []
        : [wrong(`expected TLS 1.3, got ${made.protocol}: allow it (nginx: ssl_protocols TLSv1.3)`)]),
      ...(made.protocol === "TLSv1.3" && older
        ? [warning("TLS 1.2 is taken, too: leave TLS 1.3 alone (nginx: ssl_protocols TLSv1.3)")]
        : []),
      ...(made.distrust === undefined
        ? []
        : [wrong(`the certificate is not believed (${made.distrust}): install one for ${host}, with its whole chain`)]),
      ...expiryOf(made.daysLeft),
    ];
    return findingOf("TLS", problems, `${made.protocol}, the certificate is good for ${made.daysLeft} days`);
  } catch (error) {
    return findingOf("TLS", [wrong(`no handshake with ${host}:${at.port} (${reasonBelow(error)})`)], "");
  }
}

function expiryOf(daysLeft: number): ReturnType<typeof wrong>[] {
  if (daysLeft < 0) return [wrong(`the certificate ended ${-daysLeft} days ago: renew it`)];
  const sentence = `the certificate ends in ${daysLeft} days: renew it, and see why nothing did`;
  if (daysLeft < WRONG_DAYS) return [wrong(sentence)];
  return daysLeft < WARNING_DAYS ? [warning(sentence)] : [];
}

function shakeHands(
  { host, port, nowMs }: { readonly host: string; readonly port: number; readonly nowMs: number },
  maxVersion: SecureVersion = "TLSv1.3",
): Promise<Handshake> {
  return new Promise((resolve, reject) => {
    const socket = connect({
      host,
      port,
      ...(isIP(host) === 0 ? { servername: host } : {}),
      minVersion: "TLSv1.2",
      maxVersion,
      // We come to look at a certificate, whatever it is; nothing is sent over this connection.
      rejectUnauthorized: false,
      timeout: TIMEOUT_MS,
    });
    socket.once("timeout", () => socket.destroy(new Error(`no answer within ${TIMEOUT_MS / 1_000} s`)));
    socket.once("error", reject);
    socket.once("secureConnect", () => {
      const { valid_to } = socket.getPeerCertificate();
      resolve({
        protocol: socket.getProtocol() ?? "no protocol",
        distrust: socket.authorized ? undefined : reasonBelow(socket.authorizationError),
        daysLeft: Math.floor((Date.parse(valid_to) - nowMs) / DAY_MS),
      });
      socket.end();
    });
  });
}
