// Runs a command with the Node that this repository locks (an optional dependency for each
// platform) first on the PATH: `node with-node.mjs vitest run`. Plain JavaScript, because the Node
// that starts it may be old. npm itself is not enough: npm 10 does not link the locked Node into
// node_modules/.bin, because it drops that link together with the packages of other platforms.
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { delimiter, dirname, join } from "node:path";
import { isatty } from "node:tty";
import { fileURLToPath } from "node:url";

const OLDEST = [22, 18];
const PARENT_WATCH_MILLISECONDS = 500;
const root = dirname(fileURLToPath(import.meta.url));
const locked = [
  `node-${process.platform === "win32" ? "win" : process.platform}-${process.arch}`,
  `node-bin-${process.platform}-${process.arch}`,
]
  .map((name) => join(root, "node_modules", name, "bin"))
  .find((folder) => existsSync(folder));

const [major = 0, minor = 0] = process.versions.node.split(".").map(Number);
if (locked === undefined && (major < OLDEST[0] || (major === OLDEST[0] && minor < OLDEST[1]))) {
  process.stderr.write(
    `expected Node ${OLDEST.join(".")} or later, or the locked one from npm ci; got ${process.versions.node} on ${process.platform} ${process.arch}` +
      "\n",
  );
  process.exit(2);
}

const [command = "node", ...args] = process.argv.slice(2);
const path = [locked ?? dirname(process.execPath), join(root, "node_modules", ".bin"), process.env["PATH"]];
const child = spawn(command, args, {
  stdio: "inherit",
  shell: process.platform === "win32",
  env: { ...process.env, PATH: path.join(delimiter) },
});

// A terminal sends Ctrl-C to the whole group; others send their signal to this process alone.
process.on("SIGINT", () => {
  if (!isatty(0)) child.kill("SIGINT");
});
for (const signal of ["SIGTERM", "SIGHUP"]) process.on(signal, () => child.kill(signal));

// npm passes a signal to the shell between it and us, which ends without passing it on.
const startedBy = process.ppid;
const parentWatch = setInterval(() => {
  if (process.ppid === startedBy) return;
  clearInterval(parentWatch);
  child.kill("SIGTERM");
}, PARENT_WATCH_MILLISECONDS);
parentWatch.unref();

child.on("error", (error) => {
  process.stderr.write(`${command}: ${error.message}\n`);
  process.exit(127);
});
child.on("exit", (code, signal) => process.exit(code ?? (signal === "SIGINT" ? 130 : 1)));
