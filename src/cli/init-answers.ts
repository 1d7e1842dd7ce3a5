/**
 * From the options of `iptun init` to a full set of answers: by defaults, or by questions.
 *
 * Asked is only where a person can answer and no endpoint is given, the one thing that nobody can guess: a command
 * line that has one never waits for input, so it can be pasted together with what follows it. The trap: a default
 * may be refused like any answer (a host named "peer"), so it is checked like one.
 */
import { hostname, networkInterfaces } from "node:os";
import type { InterfaceAddress } from "../config/config.ts";
import type { ConfigProblem } from "../config/problem.ts";
import { peerName } from "../config/resolve-peer.ts";
import { type Prefix, parsePrefix } from "../core/prefix.ts";
import { DaemonError } from "../daemon/failure.ts";
import { EXIT_CODE } from "./exit-code.ts";
import { INIT_OPTIONS, type InitAnswers, type InitField } from "./init-options.ts";
import { readValues } from "./init-values.ts";
import { neighbourOf, type Random, randomAddresses } from "./inner-addresses.ts";
import type { Terminal } from "./terminal.ts";

/** What defaults are made of. */
export interface Surroundings {
  readonly hostName: string;
  /** Networks that this host has addresses in. */
  readonly networks: readonly Prefix[];
  readonly random: Random;
}

/** This host's surroundings. */
export function surroundingsHere(random: Random): Surroundings {
  const addresses = Object.values(networkInterfaces()).flatMap((list) => list ?? []);
  const networks = addresses.flatMap(({ cidr }) => {
    const parsed = parsePrefix(cidr ?? "");
    return "fault" in parsed ? [] : [parsed.prefix];
  });
  return { hostName: hostname().split(".")[0] ?? "", networks, random };
}

/** Answers to everything, of which an endpoint may be missing only on one side. */
export async function completeAnswers(
  given: InitAnswers,
  surroundings: Surroundings,
  terminal: Terminal,
): Promise<InitAnswers> {
  if (!lacksEndpoint(given)) {
    return INIT_OPTIONS.reduce((answers, { field }) => {
      return withAnswer(answers, field, answers[field] ?? defaultOf(field, answers, surroundings));
    }, given);
  }
  if (!terminal.canAsk()) {
    const remedy = "give --endpoint HOST:PORT where the other host reaches this one";
    throw new DaemonError(
      `init needs an endpoint: ${remedy}, or --peer-endpoint HOST:PORT`,
      EXIT_CODE.USAGE,
    );
  }
  await terminal.err("Enter takes what is in brackets.\n");
  let answers = given;
  for (const { field } of INIT_OPTIONS) {
    if (answers[field] === undefined) answers = await ask(field, answers, surroundings, terminal);
  }
  return answers;
}

/** Asks until the answer fits those before it. */
async function ask(
  field: InitField,
  answers: InitAnswers,
  surroundings: Surroundings,
  terminal: Terminal,
): Promise<InitAnswers> {
  const question = INIT_OPTIONS.find((option) => option.field === field)?.question(answers);
  const assumed = defaultOf(field, answers, surroundings);
  for (;;) {
    const line = await terminal.ask(`${question} [${assumed ?? "none"}]: `);
    if (line === undefined) {
      await terminal.err("\n");
      throw new DaemonError("the questions were not answered; nothing was written");
    }
    const answer = line.trim();
    const next = withAnswer(answers, field, answer === "" ? assumed : answer);
    const problems = problemsAfter(field, next);
    if (problems.length === 0) return next;
    for (const { text } of problems) await terminal.err(`  ${text}\n`);
  }
}

function problemsAfter(field: InitField, answers: InitAnswers): readonly ConfigProblem[] {
  if (field !== "peerEndpoint" || !lacksEndpoint(answers)) return readValues(answers).problems;
  return [{ key: "", text: "one of the two hosts must be reachable; expected an endpoint" }];
}

function lacksEndpoint({ endpoint, peerEndpoint }: InitAnswers): boolean {
  return endpoint === undefined && peerEndpoint === undefined;
}

function withAnswer(answers: InitAnswers, field: InitField, value: string | undefined) {
  return value === undefined ? answers : { ...answers, [field]: value };
}

/** What is taken where nothing is given; undefined: none. */
function defaultOf(
  field: InitField,
  answers: InitAnswers,
  { hostName, networks, random }: Surroundings,
): string | undefined {
  switch (field) {
    case "interface":
      return "iptun0";
    case "name":
      return peerName(hostName, 0) ?? "this-host";
    case "peer":
      return "peer";
    case "address":
      return answers.peerAddress === undefined
        ? randomAddresses([...networks, ...takenBy(answers)], random).join(",")
        : neighbours(readValues(answers).values.there.addresses);
    case "peerAddress":
      return neighbours(readValues(answers).values.here.addresses);
    default:
      return undefined;
  }
}

/** What new inner ranges must stay apart from. */
function takenBy(answers: InitAnswers): readonly Prefix[] {
  const { here, there } = readValues(answers).values;
  const endpoints = [here, there].flatMap(({ endpoint }): Prefix[] => {
    const bytes = endpoint?.address;
    return bytes?.length === 4 ? [{ family: 4, bytes, length: 32 }] : [];
  });
  const behind = [...here.networks, ...there.networks].filter(({ length }) => length > 0);
  return [...endpoints, ...behind];
}

function neighbours(addresses: readonly InterfaceAddress[]): string {
  return addresses.flatMap((one) => neighbourOf(one) ?? []).join(",");
}
