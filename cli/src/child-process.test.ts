import { expect, onTestFinished, test } from "vitest";
import { nodeArgsFor } from "./child-process.ts";

test("a program gets what Node was told about memory, certificates and the network, and nothing that is for one process", () => {
  const told = [
    ["--max-old-space-size=4096", "--max_semi_space_size=32", "--use-system-ca", "--enable-fips"],
    ["--openssl-config=/etc/openssl.cnf", "--tls-min-v1.3", "--dns-result-order=ipv4first"],
    ["--disable-wasm-trap-handler", "--liftoff-only"],
  ].flat();
  const given = [
    told,
    ["--inspect=9229", "--watch", "--env-file=.env", "--cpu-prof", "--max-old-space-size"],
    ["--inspect-port", "9230"],
    ["--env-file", ".env"],
    ["-e", "process.exit(3)"],
    ["--conditions", "@licet/source"],
  ].flat();
  const own = process.execArgv.splice(0, Infinity, ...given);
  onTestFinished(() => void process.execArgv.splice(0, Infinity, ...own));
  expect(nodeArgsFor("file:///licet/dist/main.js")).toEqual(told);
  expect(nodeArgsFor("file:///licet/src/main.ts")).toEqual([...told, "--conditions=@licet/source"]);
});
