import {
  ALGORITHMS,
  type Algorithm,
  type JsonObject,
  type JsonValue,
  isJsonObject,
  parseInstant,
} from "@licet/protocol";
import { createClient } from "@licet/sdk";
import Table from "cli-table3";
import { resolve } from "node:path";
import { CommandError, type ExitCode, orFail } from "./command-error.ts";
import { operatorOf } from "./credentials.ts";
import { runOfflineTask } from "./offline-task.ts";
import { ROTATED_PURPOSES } from "./rotated-purposes.ts";
import type { Settings } from "./settings.ts";
import { type Terminal, counted, printable, wrap } from "./terminal.ts";

export interface KeysFlags {
  readonly origin?: string;
  readonly token?: string;
  readonly json?: true;
}

interface Surroundings {
  readonly settings: Settings;
  readonly terminal: Terminal;
}

/** `licet keys list`: the platform's keys. Ends with 0, with 1 when the server refused, with 2 when it was asked the wrong way. */
export async function listKeys(flags: KeysFlags, { settings, terminal }: Surroundings): Promise<ExitCode> {
  const answer = await ask(flags, settings, { method: "GET", path: "/api/v1/keys" });
  if (flags.json === true) terminal.print(JSON.stringify(answer, null, 2));
  else terminal.print(renderKeys(objectsOf(answer["keys"]), terminal));
  return 0;
}

export interface RotateFlags extends KeysFlags {
  readonly purpose?: readonly string[];
  readonly alg?: string;
}

/** `licet keys rotate`: a new key for each purpose, or for the ones that are named. Exit codes as {@link listKeys}. */
export async function rotateKeys(flags: RotateFlags, { settings, terminal }: Surroundings): Promise<ExitCode> {
  const unknown = flags.purpose?.find((purpose) => !ROTATED_PURPOSES.some((known) => known === purpose));
  if (unknown !== undefined)
    throw new CommandError(`--purpose: expected ${ROTATED_PURPOSES.join(", ")}, got ${printable(unknown)}`);
  const body = {
    ...(flags.purpose === undefined ? {} : { purposes: [...flags.purpose] }),
    ...(flags.alg === undefined ? {} : { alg: readAlgorithm(flags.alg) }),
  };
  const answer = await ask(flags, settings, { method: "POST", path: "/api/v1/keys/rotations", body });
  if (flags.json === true) terminal.print(JSON.stringify(answer, null, 2));
  else
    for (const { purpose, kid, signs_from, replaces, retires_at } of objectsOf(answer["rotated"]))
      terminal.print(
        wrap(
          `${textOf(purpose)}: ${textOf(kid)} signs from ${textOf(signs_from)}${
            retires_at === null ? "" : `; ${namesOf(replaces)} stays valid until ${textOf(retires_at)}`
          }.`,
          { width: terminal.columns, indent: "  " },
        ),
      );
  return 0;
}

export interface RevokeFlags extends KeysFlags {
  readonly compromisedSince?: string;
}

/** `licet keys revoke`: ends a key at once, and says what was done about what it signed. Exit codes as {@link listKeys}. */
export async function revokeKey(
  kid: string,
  flags: RevokeFlags,
  { settings, terminal }: Surroundings,
): Promise<ExitCode> {
  const { compromisedSince } = flags;
  if (compromisedSince !== undefined && parseInstant(compromisedSince) === undefined)
    throw new CommandError(
      `--compromised-since: expected an instant such as 2026-01-18T12:05:00Z, got ${printable(compromisedSince)}`,
    );
  const body = compromisedSince === undefined ? {} : { compromised_since: compromisedSince };
  const path = `/api/v1/keys/${encodeURIComponent(kid)}/revoke`;
  const answer = await ask(flags, settings, { method: "POST", path, body });
  if (flags.json === true) terminal.print(JSON.stringify(answer, null, 2));
  else
    for (const line of describeRevocation(answer))
      terminal.print(wrap(line, { width: terminal.columns, indent: "  " }));
  return 0;
}

export interface RewrapFlags {
  readonly newKeyFile?: string;
  readonly dataDir?: string;
  readonly json?: true;
}

/** `licet keys rewrap`: another master key, while no server runs. No key is ever an argument, which process lists show. */
export async function rewrapKeys(flags: RewrapFlags, { settings, terminal }: Surroundings): Promise<ExitCode> {
  const { newKeyFile, dataDir } = flags;
  const result = await runOfflineTask({
    args: ["rewrap"],
    environment: {
      ...settings.environment,
      ...(dataDir === undefined ? {} : { LICET_DATA_DIR: resolve(settings.workingFolder, dataDir) }),
      ...(newKeyFile === undefined ? {} : { LICET_NEW_MASTER_KEY_FILE: resolve(settings.workingFolder, newKeyFile) }),
    },
    onProgress: ({ sealed }) => {
      if (terminal.isWatched) terminal.note(`${counted(Number(sealed), "value")} sealed anew`);
    },
  });
  if (flags.json === true) terminal.print(JSON.stringify(result, null, 2));
  else for (const line of describeRewrap(result)) terminal.print(wrap(line, { width: terminal.columns }));
  return 0;
}

function describeRewrap({ sealed, key_file, in_place }: JsonObject): readonly string[] {
  const done = `${counted(Number(sealed), "value")} sealed with the new master key.`;
  const backups = "Backups made before need the old key: keep it as long as you keep them.";
  if (in_place === true) return [done, `The server finds it in ${textOf(key_file)}.`, backups];
  const next = key_file === null ? "LICET_NEW_MASTER_KEY" : textOf(key_file);
  return [done, `Set LICET_MASTER_KEY to what is in ${next} before you start a server again.`, backups];
}

function describeRevocation(answer: JsonObject): readonly string[] {
  const { key, successor, documents_signed_again, acceptances_signed_again, revoked_jtis, receipt_ids } = answer;
  const named = isJsonObject(key) ? textOf(key["kid"]) : "The key";
  const since = isJsonObject(key) ? (key["compromised_since"] ?? key["revoked_at"]) : undefined;
  return [
    `${named} is revoked: what it signed since ${textOf(since)} holds no more.`,
    ...(typeof successor === "string" ? [`${successor} signs in its place.`] : []),
    `Signed again: ${counted(Number(documents_signed_again), "public document")}, ${counted(Number(acceptances_signed_again), "acceptance")}.`,
    ...describeList("Consents that ended, since nobody can tell who signed them", revoked_jtis),
    ...describeList("Receipts whose countersignature holds no more", receipt_ids),
    "Caches may keep manifests and terms for long: purge everything with the tag licet.",
  ];
}

function describeList(what: string, list: JsonValue | undefined): readonly string[] {
  const names = Array.isArray(list) ? list.map(textOf) : [];
  return names.length === 0 ? [] : [`${what}: ${names.map(printable).join(", ")}`];
}

function renderKeys(keys: readonly JsonObject[], { paint, columns }: Terminal): string {
  const table = new Table({
    head: ["key", "purpose", "alg", "status"].map((title) => paint("dim", title)),
    wordWrap: true,
    colWidths: [46, 11, 8, Math.max(20, columns - 70)],
    style: { head: [], border: [], compact: true },
  });
  for (const key of keys) table.push([textOf(key["kid"]), textOf(key["purpose"]), textOf(key["alg"]), statusOf(key)]);
  return table.toString();
}

function statusOf({
  status,
  signs,
  signs_from,
  retires_at,
  not_after,
  compromised_since,
  revoked_at,
}: JsonObject): string {
  if (status === "revoked") return `revoked, not to be believed since ${textOf(compromised_since ?? revoked_at)}`;
  if (status === "retired") return `retired at ${textOf(not_after)}`;
  if (signs_from !== undefined) return `signs from ${textOf(signs_from)}`;
  if (retires_at !== undefined) return `${signs === true ? "signs, " : ""}retires at ${textOf(retires_at)}`;
  return signs === true ? `signs until ${textOf(not_after)}` : "active";
}

function readAlgorithm(text: string): Algorithm {
  const alg = ALGORITHMS.find((known) => known === text);
  if (alg === undefined) throw new CommandError(`--alg: expected ${ALGORITHMS.join(" or ")}, got ${printable(text)}`);
  return alg;
}

async function ask(
  flags: KeysFlags,
  settings: Settings,
  call: { readonly method: "GET" | "POST"; readonly path: string; readonly body?: JsonObject },
): Promise<JsonObject> {
  return orFail(await createClient(operatorOf(settings, flags)).sendJson(call), 1);
}

function objectsOf(list: JsonValue | undefined): readonly JsonObject[] {
  return Array.isArray(list) ? list.filter(isJsonObject) : [];
}

function namesOf(list: JsonValue | undefined): string {
  return Array.isArray(list) ? list.map(textOf).join(", ") : "";
}

/** A member of an answer that is to be text; anything else is shown as the JSON it is. */
function textOf(value: JsonValue | undefined): string {
  return printable(typeof value === "string" ? value : (JSON.stringify(value) ?? ""));
}
