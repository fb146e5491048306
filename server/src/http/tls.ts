import { X509Certificate } from "node:crypto";
import { type FSWatcher, readFileSync, watch } from "node:fs";
import { dirname } from "node:path";
import { type SecureContextOptions, createSecureContext } from "node:tls";
import type { Logger } from "pino";
import { type Config, ConfigError } from "../config.ts";

export type TlsSettings = Pick<Config, "tls" | "mtlsCaPath">;

const MIN_VERSION = "TLSv1.3";
/** Certificate and key are written one after the other; the first change is not the last. */
const SETTLE_MS = 150;
/** File systems exist that tell nobody about changes. */
const LOOK_AGAIN_MS = 30_000;

/** Our certificate and key as they are in their files; undefined when TLS is somebody else's affair. Throws a ConfigError. */
export function readSecureContext(settings: TlsSettings): SecureContextOptions | undefined {
  if (settings.tls === undefined) return undefined;
  const { certPath, keyPath } = settings.tls;
  const cert = readSetting("LICET_TLS_CERT", certPath);
  const key = readSetting("LICET_TLS_KEY", keyPath);
  const ca = settings.mtlsCaPath === undefined ? undefined : readSetting("LICET_MTLS_CA", settings.mtlsCaPath);
  const options: SecureContextOptions = { cert, key, minVersion: MIN_VERSION, ...(ca === undefined ? {} : { ca }) };
  try {
    createSecureContext(options);
  } catch (error) {
    throw new ConfigError(
      `LICET_TLS_CERT, LICET_TLS_KEY: expected a PEM certificate and its key in ${certPath} and ${keyPath}, got ${reasonOf(error)}`,
    );
  }
  return options;
}

/** The authorities in LICET_MTLS_CA; none when it is not set. Throws a ConfigError. */
export function readAuthorities({ mtlsCaPath }: Pick<Config, "mtlsCaPath">): readonly X509Certificate[] {
  if (mtlsCaPath === undefined) return [];
  const blocks =
    readSetting("LICET_MTLS_CA", mtlsCaPath).match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? [];
  if (blocks.length === 0) throw new ConfigError(`LICET_MTLS_CA: expected PEM certificates in ${mtlsCaPath}, got none`);
  try {
    return blocks.map((block) => new X509Certificate(block));
  } catch (error) {
    throw new ConfigError(`LICET_MTLS_CA: expected PEM certificates in ${mtlsCaPath}, got ${reasonOf(error)}`);
  }
}

export interface TlsReload {
  readonly log: Logger;
  /** Takes the new files into use; connections that are open keep what they have. */
  readonly use: (options: SecureContextOptions) => void;
}

/**
 * Reads the files again when they change, and every half a minute. A pair that cannot be used is
 * logged, and the one in use stays. Answers how to stop.
 */
export function reloadTls(settings: TlsSettings, { log, use }: TlsReload): () => void {
  if (settings.tls === undefined) return () => undefined;
  let seen = fingerprintOf(settings);
  const look = (): void => {
    const found = fingerprintOf(settings);
    if (found === seen) return;
    seen = found;
    try {
      const options = readSecureContext(settings);
      if (options === undefined) return;
      use(options);
      log.info(describe(options), "the TLS certificate was read again");
    } catch (error) {
      log.error({ error: reasonOf(error) }, "the new TLS files cannot be used; the ones in use stay");
    }
  };
  let settling: NodeJS.Timeout | undefined;
  const soon = (): void => {
    clearTimeout(settling);
    settling = setTimeout(look, SETTLE_MS).unref();
  };
  const watchers = watchFolders([...new Set(pathsOf(settings).map((path) => dirname(path)))], { log, changed: soon });
  const again = setInterval(look, LOOK_AGAIN_MS).unref();
  return () => {
    clearTimeout(settling);
    clearInterval(again);
    for (const watcher of watchers) watcher.close();
  };
}

/** Folders, not files: certificates are renewed by renaming, and by moving a link. */
function watchFolders(
  folders: readonly string[],
  { log, changed }: { readonly log: Logger; readonly changed: () => void },
): readonly FSWatcher[] {
  return folders.flatMap((folder) => {
    try {
      const watcher = watch(folder, { persistent: false }, changed);
      watcher.on("error", (error) => log.warn({ folder, error: error.message }, "a TLS folder is no longer watched"));
      return [watcher];
    } catch (error) {
      log.warn({ folder, error: reasonOf(error) }, "a TLS folder cannot be watched; it is looked at twice a minute");
      return [];
    }
  });
}

function pathsOf({ tls, mtlsCaPath }: TlsSettings): readonly string[] {
  return [tls?.certPath, tls?.keyPath, mtlsCaPath].filter((path) => path !== undefined);
}

function fingerprintOf(settings: TlsSettings): string {
  return JSON.stringify(pathsOf(settings).map((path) => readIfThere(path)));
}

/** A file that is away for a moment, while it is being renewed, is a change like any other. */
function readIfThere(path: string): string | null {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return null;
  }
}

function describe({ cert }: SecureContextOptions): Record<string, string> {
  const { subject, validTo, fingerprint256 } = new X509Certificate(String(cert));
  return { subject: subject ?? "", valid_to: validTo, fingerprint256 };
}

function readSetting(name: string, path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    throw new ConfigError(`${name}: cannot read ${path} (${reasonOf(error)})`);
  }
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
