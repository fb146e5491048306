import { spawn } from "node:child_process";

/** `npm run fuzz [-- <rounds>]`: the protocol's parsers under random and broken input, for longer than a test run has time for. */
const DEFAULT_ROUNDS = 1_000;
const [text = String(DEFAULT_ROUNDS)] = process.argv.slice(2);
if (!/^[1-9]\d{0,6}$/.test(text)) {
  process.stderr.write(`fuzz: expected a number of rounds such as ${DEFAULT_ROUNDS}, got ${text}\n`);
  process.exit(2);
}
const child = spawn("vitest", ["run", "--project", "node", "--testTimeout=0", "protocol/src/hostile-input"], {
  stdio: "inherit",
  shell: process.platform === "win32",
  env: { ...process.env, LICET_ROUNDS: text },
});
child.on("exit", (code) => process.exit(code ?? 1));
