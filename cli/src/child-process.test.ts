import { expect, onTestFinished, test } from "vitest";
import { nodeArgsFor } from "./child-process.ts";

test("a program gets what Node was told about memory and certificates, and nothing that is for one process", () => {
  const given = [
    ["--max-old-space-size=4096", "--use-system-ca", "--inspect=9229", "--watch", "--env-file=.env", "--cpu-prof"],
    ["--inspect-port", "9230"],
    ["--env-file", ".env"],
    ["-e", "process.exit(3)"],
    ["--conditions", "@licet/source"],
  ].flat();
  const own = process.execArgv.splice(0, Infinity, ...given);
  onTestFinished(() => void process.execArgv.splice(0, Infinity, ...own));
  const told = ["--max-old-space-size=4096", "--use-system-ca"];
  expect(nodeArgsFor("file:///licet/dist/main.js")).toEqual(told);
  expect(nodeArgsFor("file:///licet/src/main.ts")).toEqual([...told, "--conditions=@licet/source"]);
});
