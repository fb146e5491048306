import { type JsonValue, isJsonObject } from "@licet/protocol";
import { CommandError, type ExitCode, orFail } from "./command-error.ts";
import { createOwnClient } from "./credentials.ts";
import { bodyOf } from "./call-api.ts";
import type { Settings } from "./settings.ts";
import { type Terminal, counted, printable, wrap } from "./terminal.ts";

export interface RevokeConsentFlags {
  readonly reason?: string;
  readonly origin?: string;
  readonly token?: string;
  readonly json?: true;
}

const MAX_JTI = 128;

/**
 * `licet revoke`: takes a consent back for its creator. When it ends with 0, the public documents
 * say so already. Ends with 1 when the server refused, with 2 when it could not be tried.
 */
export async function revoke(
  jti: string,
  flags: RevokeConsentFlags,
  { settings, terminal }: { readonly settings: Settings; readonly terminal: Terminal },
): Promise<ExitCode> {
  if (jti === "" || jti.length > MAX_JTI) throw new CommandError("expected the jti of a consent, got another text");
  const answer = orFail(
    await createOwnClient(settings, flags, "consents:write").sendJson({
      method: "POST",
      path: `/api/v1/consents/${encodeURIComponent(jti)}/revoke`,
      body: bodyOf({ reason: flags.reason }),
    }),
    1,
  );
  if (flags.json === true) terminal.print(JSON.stringify(answer));
  else
    terminal.print(
      wrap(
        `${jti} is revoked since ${textOf(answer["revoked_at"])}; the public documents say so. ${touched(answer["datasets"])}`,
        { width: terminal.columns },
      ),
    );
  if (flags.json !== true && typeof answer["revocation_id"] === "string")
    terminal.print(`licet revocation ${printable(answer["revocation_id"])} --follow shows how far it is.`);
  return 0;
}

function touched(datasets: JsonValue | undefined): string {
  const names = (Array.isArray(datasets) ? datasets : []).map((entry) =>
    textOf(isJsonObject(entry) ? entry["dataset_id"] : entry),
  );
  return names.length === 0
    ? "No dataset held works under it."
    : `It touches ${counted(names.length, "dataset")}: ${names.join(", ")}.`;
}

function textOf(value: JsonValue | undefined): string {
  return printable(typeof value === "string" ? value : JSON.stringify(value ?? null));
}
