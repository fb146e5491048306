import { CommandError, type ExitCode, claim, reasonOf } from "../command-error.ts";
import type { Settings } from "../settings.ts";
import type { Terminal } from "../terminal.ts";
import { type Consenting, actConsent } from "./act-consent.ts";
import { actDataset } from "./act-dataset.ts";
import { actEdge } from "./act-edge.ts";
import { actRemediation } from "./act-remediation.ts";
import { actRevocation, actVerification } from "./act-revocation.ts";
import { actMoney } from "./act-money.ts";
import { actTraining } from "./act-training.ts";
import { handOver, worthOpening } from "./hand-over.ts";
import { type Narrator, createNarrator, duration } from "./narrate.ts";
import { type Cast, gatherCast, requireRepository, startProcesses, strikeStage } from "./start-processes.ts";

export interface DemoFlags {
  readonly once?: true;
  readonly json?: true;
  readonly keep?: string;
}

interface Surroundings {
  readonly settings: Settings;
  readonly terminal: Terminal;
}

/** `licet demo`: 0 when all of it held, 1 with a sentence when something did not. */
export async function playDemo(flags: DemoFlags, surroundings: Surroundings): Promise<number> {
  if (flags.once === true && flags.json === true)
    throw new CommandError("expected --once or --json, got both: --once ends where --json stays up");
  requireRepository();
  const interruption = listenForInterruption(surroundings.settings);
  const cast = await gatherCast(flags.keep, surroundings.settings.workingFolder);
  try {
    const told = tell(flags, cast, surroundings);
    // When it is interrupted, what is under way fails because the programs stop, and nobody asks any more.
    told.catch(() => undefined);
    const outcome = await Promise.race([told, interruption.asked]);
    if (typeof outcome === "number") return outcome;
    return await Promise.race([interruption.asked.then(() => bidFarewell(surroundings.terminal)), firstToEnd(cast)]);
  } catch (error) {
    return tellFailure(error, cast, surroundings.terminal);
  } finally {
    await strikeStage(cast);
    interruption.forget();
  }
}

/** The whole story. Answers the exit code, or `stay` when the programs are to stay up. */
async function tell(flags: DemoFlags, cast: Cast, surroundings: Surroundings): Promise<ExitCode | "stay"> {
  const { terminal, settings } = surroundings;
  // With --json standard output belongs to one line, and the story goes to standard error.
  const narrator = createNarrator(flags.json === true ? terminal.note : terminal.print, terminal);
  const startedAt = performance.now();
  narrator.say(
    "Licet tells one story on this machine, with invented creators: from a signed consent to a model, and back. Every sentence with a ✓ was checked.",
  );
  narrator.heading("Four programs start");
  const stage = await startProcesses(cast, settings.bareEnvironment, narrator);
  const creators = await actConsent(stage, narrator);
  const dataset = await actDataset(stage, creators, narrator);
  const protagonist = protagonistOf(creators);
  if (flags.json === true) {
    await actTraining(stage, dataset, creators, narrator);
    terminal.print(JSON.stringify(handOver(stage, dataset, protagonist)));
    return "stay";
  }
  await actVerification({ stage, dataset, narrator, surroundings });
  await actTraining(stage, dataset, creators, narrator);
  const [other = protagonist] = creators.filter((creator) => creator !== protagonist);
  const crawler = await actEdge({ stage, dataset, narrator }, { creator: protagonist, other });
  await actMoney(stage, dataset, creators, narrator);
  await actRevocation({ stage, dataset, creator: protagonist, crawler, narrator, surroundings });
  await actRemediation(stage, dataset, protagonist, narrator);
  narrator.say(`\nEverything held. It took ${duration(performance.now() - startedAt)}.`);
  if (flags.once === true) return 0;
  stayUp(worthOpening(stage, dataset, settings.commandName), cast, narrator);
  return "stay";
}

/** The second creator takes it back: one with a key that is not like the others'. */
function protagonistOf(creators: readonly Consenting[]): Consenting {
  const creator = creators[1] ?? creators[0];
  claim(creator !== undefined, "expected at least one creator in the catalogue, got none");
  return creator;
}

function stayUp(addresses: readonly string[], cast: Cast, narrator: Narrator): void {
  narrator.heading("Worth opening");
  narrator.quote(addresses.join("\n"));
  narrator.say(
    `\nAll of it stays up until you press Ctrl-C. ${cast.isKept ? `The data is in ${cast.folder} and stays there.` : "Then the data is removed."}`,
  );
}

function bidFarewell(terminal: Terminal): 0 {
  terminal.note("Stopping …");
  return 0;
}

/** A program that ends by itself ends the demo. */
async function firstToEnd({ programs }: Cast): Promise<never> {
  const [name, code] = await Promise.race(
    programs.map(async (program) => [program.name, await program.ended] as const),
  );
  throw new CommandError(`expected ${name} to stay up, got its end with exit code ${code}`, 1);
}

function tellFailure(error: unknown, { programs }: Cast, terminal: Terminal): number {
  terminal.note(`\n✗ ${error instanceof CommandError ? error.message : reasonOf(error)}`);
  for (const program of programs) {
    const tail = program.errorTail();
    if (tail !== "") terminal.note(`\nWhat ${program.name} said last:\n${tail}`);
  }
  return error instanceof CommandError ? error.exitCode : 1;
}

const INTERRUPTIONS = ["SIGINT", "SIGTERM", "SIGHUP"] as const satisfies readonly NodeJS.Signals[];
const EXIT_CODES = { SIGINT: 130, SIGTERM: 143, SIGHUP: 129 } as const satisfies Record<
  (typeof INTERRUPTIONS)[number],
  number
>;

interface Interruption {
  /** The exit code of a story that was cut short. */
  readonly asked: Promise<number>;
  readonly forget: () => void;
}

/** The first signal ends the demo in good order; a second one at once, and the programs notice by themselves. */
function listenForInterruption({ exitWithParent }: Settings): Interruption {
  let resolve: (exitCode: number) => void = () => undefined;
  const asked = new Promise<number>((settle) => (resolve = settle));
  let count = 0;
  const handlers = INTERRUPTIONS.map((signal) => {
    const handler = (): void => {
      count += 1;
      if (count > 1) process.exit(EXIT_CODES[signal]);
      resolve(EXIT_CODES[signal]);
    };
    process.on(signal, handler);
    return { signal, handler };
  });
  if (exitWithParent) process.stdin.once("close", () => resolve(EXIT_CODES.SIGHUP)).resume();
  return {
    asked,
    forget: () => {
      for (const { signal, handler } of handlers) process.off(signal, handler);
      if (exitWithParent) process.stdin.destroy();
    },
  };
}
