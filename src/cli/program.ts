/**
 * The command line made of the table of commands: help, usage errors and exit codes.
 *
 * Without a command, `iptun --config FILE` is `iptun run --config FILE`.
 *
 * The trap: commander exits the process by itself; `exitOverride` turns that into an exception.
 */
import { Command, CommanderError } from "commander";
import { DaemonError } from "../daemon/failure.ts";
import { readVersion } from "../daemon/version.ts";
import { argumentName, type CommandEntry, flagParts, type Given } from "./command-entry.ts";
import { COMMANDS, CONFIG_OPTION, HELP_COMMAND, HELP_OPTION, VERSION_OPTION } from "./commands.ts";
import { EXIT_CODE, EXIT_MEANINGS, outcomeOf } from "./exit-code.ts";
import type { Terminal } from "./terminal.ts";

const EXAMPLES = `
Examples:
  iptun init                              ask for what two hosts need, write their files
  iptun keygen --out site.key             make a key; copy it to the other host
  iptun check --config /etc/iptun/a.toml  say what is wrong, or what would be done
  iptun --config /etc/iptun/a.toml        run in the foreground
  iptun status                            peers, traffic, what was dropped and why
  iptun events                            what happens, line by line
  iptun status --json | jq .peers         the same for scripts
  iptun doctor                            what keeps it from working, and what to do
  iptun ping hub                          is the other iptun there, and how far

Exit codes: ${EXIT_MEANINGS.map(({ code, word }) => `${code} ${word}`).join(", ")}
`;

interface ConfigOption {
  readonly config?: string;
}

/** Runs the command that the arguments name (without node and script); its exit code. */
export async function runCli(args: readonly string[], terminal: Terminal): Promise<number> {
  const session = new Session(terminal);
  try {
    await session.program().parseAsync(args, { from: "user" });
    await session.flush();
    return session.exitCode;
  } catch (error) {
    await session.flush().catch(() => {});
    if (error instanceof CommanderError) {
      return error.exitCode === 0 ? EXIT_CODE.OK : EXIT_CODE.USAGE;
    }
    const { exitCode, text } = outcomeOf(error);
    await terminal.err(text);
    return exitCode;
  }
}

/** One command line: the program, what it has printed so far, and how it ended. */
class Session {
  readonly #terminal: Terminal;
  #out = "";
  #err = "";
  exitCode: number = EXIT_CODE.OK;

  constructor(terminal: Terminal) {
    this.#terminal = terminal;
  }

  /** Writes what commander printed; it prints synchronously. */
  async flush(): Promise<void> {
    const [out, err] = [this.#out, this.#err];
    this.#out = "";
    this.#err = "";
    if (err !== "") await this.#terminal.err(err);
    if (out !== "") await this.#terminal.out(out);
  }

  program(): Command {
    const program = new Command("iptun")
      .description(
        "Encrypted point-to-point VPN for Linux: two hosts, one key, one TOML file each.",
      )
      .version(readVersion(), VERSION_OPTION.flags, VERSION_OPTION.text)
      .helpOption(HELP_OPTION.flags, HELP_OPTION.text)
      .helpCommand(false)
      .enablePositionalOptions()
      .exitOverride()
      .configureOutput({
        writeOut: (text) => {
          this.#out += text;
        },
        writeErr: (text) => {
          this.#err += text;
        },
        outputError: (text, write) => write(oneLine(text)),
      })
      .addHelpText("after", EXAMPLES);
    for (const entry of COMMANDS) this.#add(program, entry);
    this.#addHelp(program);
    this.#addDefault(program);
    return program;
  }

  #add(program: Command, entry: CommandEntry): void {
    const command = program.command(entry.name).description(entry.description);
    for (const { flags, text } of entry.options) {
      const { long, placeholder } = flagParts(flags);
      if (placeholder === undefined) command.option(flags, text);
      else command.option(flags, text, once(long));
    }
    for (const argument of entry.arguments ?? []) command.argument(argument);
    command.action(async () => {
      const given = givenOf(program, command, entry);
      this.exitCode = (await entry.run(given, this.#terminal)) ?? EXIT_CODE.OK;
    });
  }

  /** What happens without a command's name. After the commands, which would inherit the excess arguments. */
  #addDefault(program: Command): void {
    program
      .option(CONFIG_OPTION.flags, `${CONFIG_OPTION.text}: run with it`, once("--config"))
      .argument("[command]")
      .allowExcessArguments()
      .usage("[options] [command]")
      .action((word: string | undefined, options: ConfigOption) =>
        word === undefined && options.config === undefined
          ? program.help({ error: true })
          : this.#runUnless(program, word, options.config),
      );
  }

  /** A word that is no command arrives here as an argument. */
  #runUnless(program: Command, word: string | undefined, file: string | undefined): Promise<void> {
    if (word === undefined) return this.#run(file);
    return unknownCommand(program, word);
  }

  async #run(file: string | undefined): Promise<void> {
    const config = requireConfig(file, "run");
    const { run } = await import("./run.ts");
    this.exitCode = await run(config, false, this.#terminal);
  }

  /** Commander's own help command would print the whole help for a word that is no command. */
  #addHelp(program: Command): void {
    const help = program.command(HELP_COMMAND.name).description(HELP_COMMAND.description);
    for (const argument of HELP_COMMAND.arguments ?? []) help.argument(argument);
    help.action((word: string | undefined) => {
      if (word === undefined) return program.help();
      const command = program.commands.find((one) => one.name() === word);
      return command === undefined ? unknownCommand(program, word) : command.help();
    });
  }
}

/** What was given to a command. */
function givenOf(program: Command, command: Command, entry: CommandEntry): Given {
  const options = command.opts<Readonly<Record<string, unknown>>>();
  const names = (entry.arguments ?? []).map(argumentName);
  const values = {
    ...options,
    ...Object.fromEntries(names.map((name, at) => [name, command.args[at]])),
  };
  return {
    text: (name) => {
      const value = values[name];
      return typeof value === "string" ? value : undefined;
    },
    flag: (name) => values[name] === true,
    config: () => requireConfig(configOf(program, options), entry.name),
    configIfGiven: () => configOf(program, options),
  };
}

/** `--config` of the command, or the one given before its name. */
function configOf(program: Command, { config }: ConfigOption): string | undefined {
  const before = program.opts<ConfigOption>().config;
  return config === undefined ? before : once("--config")(config, before);
}

/** Takes an option's value: not empty, and not a second one, of which one would be ignored in silence. */
function once(flag: string): (value: string, before: string | undefined) => string {
  return (value, before) => {
    if (value === "") {
      throw new DaemonError(`${flag} is empty; expected a name after it`, EXIT_CODE.USAGE);
    }
    if (before === undefined) return value;
    throw new DaemonError(`${flag} is given twice; expected it once`, EXIT_CODE.USAGE);
  };
}

/** A usage error of commander as one line; it puts its suggestion on a second. */
function oneLine(text: string): string {
  return text
    .replace(/^error: /, "iptun: ")
    .replace(/\n\(Did you mean (.*)\?\)/, "; did you mean $1?");
}

function requireConfig(file: string | undefined, command: string): string {
  if (file !== undefined) return file;
  const message = `${command} needs a configuration: iptun ${command} --config FILE`;
  throw new DaemonError(message, EXIT_CODE.USAGE);
}

async function unknownCommand(program: Command, word: string): Promise<never> {
  const { closest } = await import("../config/suggest.ts");
  const { shown } = await import("../config/shown.ts");
  const names = program.commands.map((one) => one.name()).filter((name) => name !== "help");
  const suggestion = closest(word, names);
  const remedy =
    suggestion === undefined ? `expected ${names.join(", ")}` : `did you mean ${suggestion}?`;
  throw new DaemonError(`unknown command ${shown(word)}; ${remedy}`, EXIT_CODE.USAGE);
}
