/**
 * The command line: which words lead to which command, help, and exit codes.
 *
 * Commands are imported when they are chosen: `iptun --version` loads neither the schema nor the log nor
 * the crypto. Without a command, `iptun --config FILE` is `iptun run --config FILE`.
 *
 * The trap: commander exits the process by itself; `exitOverride` turns that into an exception.
 */
import { Command, CommanderError } from "commander";
import { DaemonError } from "../daemon/failure.ts";
import { readVersion } from "../daemon/version.ts";
import { EXIT_CODE, outcomeOf } from "./exit-code.ts";
import type { Terminal } from "./terminal.ts";

const EXAMPLES = `
Examples:
  iptun keygen --out site.key             make a key; copy it to the other host
  iptun check --config /etc/iptun/a.toml  say what is wrong, or what would be done
  iptun --config /etc/iptun/a.toml        run in the foreground
  iptun status                            peers, traffic, what was dropped and why
  iptun status --json | jq .peers         the same for scripts

Exit codes: 0 success, 1 failure, 2 usage, 3 not running, 4 no permission, 78 configuration
`;

const CONFIG_FLAGS = "-c, --config <file>";
const CONFIG_TEXT = "configuration file (TOML)";

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
      .version(readVersion(), "-V, --version", "print the version")
      .helpOption("-h, --help", "print this help")
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
    this.#addRun(program);
    this.#addKeygen(program);
    this.#addCheck(program);
    this.#addStatus(program);
    this.#addHelp(program);
    this.#addDefault(program);
    return program;
  }

  #addRun(program: Command): void {
    program
      .command("run")
      .description("run the tunnel in the foreground until SIGTERM or SIGINT")
      .option(CONFIG_FLAGS, CONFIG_TEXT, once("--config"))
      .action((options: ConfigOption) => this.#run(configOf(program, options)));
  }

  /** What happens without a command's name. After the commands, which would inherit the excess arguments. */
  #addDefault(program: Command): void {
    program
      .option(CONFIG_FLAGS, `${CONFIG_TEXT}: run with it`, once("--config"))
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
    this.exitCode = await run(config, this.#terminal);
  }

  #addKeygen(program: Command): void {
    program
      .command("keygen")
      .description("make a pre-shared key; print it, or create a file for it (mode 0600)")
      .option(
        "-o, --out <file>",
        "create this file; an existing one is never overwritten",
        once("--out"),
      )
      .option("-g, --group", "a key for one hub and many sites, in place of one for two hosts")
      .action(async (options: { readonly out?: string; readonly group?: true }) => {
        const { keygen } = await import("./keygen.ts");
        await keygen(options.out, options.group === true, this.#terminal);
      });
  }

  #addCheck(program: Command): void {
    program
      .command("check")
      .description("check a configuration and print what would be done with it")
      .option(CONFIG_FLAGS, CONFIG_TEXT, once("--config"))
      .option("--json", "print the plan, or the problems, as JSON")
      .action(async (options: ConfigOption & { readonly json?: true }) => {
        const file = requireConfig(configOf(program, options), "check");
        const { check } = await import("./check.ts");
        await check(file, options.json === true, this.#terminal);
      });
  }

  /** Commander's own help command would print the whole help for a word that is no command. */
  #addHelp(program: Command): void {
    program
      .command("help")
      .description("print help for a command")
      .argument("[command]")
      .action((word: string | undefined) => {
        if (word === undefined) return program.help();
        const command = program.commands.find((one) => one.name() === word);
        return command === undefined ? unknownCommand(program, word) : command.help();
      });
  }

  #addStatus(program: Command): void {
    program
      .command("status")
      .description("ask a running tunnel for its peers, traffic and drops")
      .option(
        "-i, --interface <name>",
        "the tunnel's interface; may be left out if only one runs",
        once("--interface"),
      )
      .option("--json", "print the whole status document as JSON")
      .action(async (options: { readonly interface?: string; readonly json?: true }) => {
        const { status } = await import("./status.ts");
        await status(options.interface, options.json === true, this.#terminal);
      });
  }
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
