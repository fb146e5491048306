import { expect, test } from "vitest";
import { runLicet } from "./testing/run-licet.ts";
import { TRIGGERED_EVENTS } from "./trigger-events.ts";

test.each([
  [["trigger", "consent.eaten"], /^licet: expected one of consent\.revoked, .*, got consent\.eaten\n$/],
  [["trigger"], /^licet: .*event.*\n$/],
  [["trigger", "consent.revoked"], /^licet: expected a Licet server that is ready at http:\/\/127\.0\.0\.1:1: .*\n$/],
  [["trigger", "consent.revoked", "--origin", "http://licet.example"], /^licet: --origin: expected https.*\n$/],
])("licet trigger ends with 2 and one line when it is asked the wrong way: %j", async (args, line) => {
  const { exitCode, out, err } = await runLicet(args, {
    LICET_TOKEN: "licet_op_x",
    LICET_ORIGIN: "http://127.0.0.1:1",
  });
  expect({ exitCode, out }).toEqual({ exitCode: 2, out: "" });
  expect(err).toMatch(line);
});

test("licet trigger lists every event in its help", async () => {
  const { exitCode, out } = await runLicet(["trigger", "--help"]);
  expect(exitCode).toBe(0);
  for (const name of Object.keys(TRIGGERED_EVENTS)) expect(out).toContain(name);
});
