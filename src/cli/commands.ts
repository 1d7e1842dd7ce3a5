/**
 * The commands: name, description, arguments, options, and what is called. program.ts makes the command line of it.
 *
 * Each command is a file of its own, imported when it is chosen: `iptun --version` loads neither the schema nor
 * the log nor the crypto. What `help` does is not here, because it is about these.
 */
import { DaemonError } from "../daemon/failure.ts";
import type {
  CommandEntry,
  CommandLine,
  CommandShape,
  Given,
  OptionEntry,
} from "./command-entry.ts";
import { EXIT_CODE } from "./exit-code.ts";
import { INIT_OPTIONS } from "./init-options.ts";
import type { Terminal } from "./terminal.ts";

/** The option by which a configuration is named, also without a command. */
export const CONFIG_OPTION: OptionEntry = {
  flags: "-c, --config <file>",
  text: "configuration file (TOML)",
  value: "configuration",
};

export const VERSION_OPTION: OptionEntry = { flags: "-V, --version", text: "print the version" };
/** Of the command line and of every command. */
export const HELP_OPTION: OptionEntry = { flags: "-h, --help", text: "print this help" };

const INTERFACE_OPTION: OptionEntry = {
  flags: "-i, --interface <name>",
  text: "the tunnel's interface; may be left out if only one runs",
  value: "interface",
};
/** The same where -i is another option's. */
const LONG_INTERFACE_OPTION: OptionEntry = { ...INTERFACE_OPTION, flags: "--interface <name>" };

/** In the order of `iptun --help`. */
export const COMMANDS: readonly CommandEntry[] = [
  {
    name: "run",
    description: "run the tunnel in the foreground until SIGTERM or SIGINT",
    options: [
      CONFIG_OPTION,
      {
        flags: "--replace",
        text: "take the tunnel over from the process that runs it, without an outage",
      },
    ],
    run: async (given, terminal) => {
      const file = given.config();
      const { run } = await import("./run.ts");
      return await run(file, given.flag("replace"), terminal);
    },
  },
  {
    name: "init",
    description: "set up two hosts: make this one's configuration and key, and the other's file",
    options: [
      ...INIT_OPTIONS,
      {
        flags: "-o, --out <file>",
        text: "this host's configuration (/etc/iptun/INTERFACE.toml); its key goes beside it",
      },
      {
        flags: "--peer-out <file>",
        text: 'the other host\'s configuration (PEER.toml beside it); "-": standard output',
      },
      { flags: "--dry-run", text: "print what would be written, without a key" },
    ],
    run: async (given, terminal) => {
      const answers = Object.fromEntries(
        INIT_OPTIONS.map(({ field }) => [field, given.text(field)]),
      );
      const [out, peerOut] = [given.text("out"), given.text("peerOut")];
      const { init } = await import("./init.ts");
      await init({ answers, out, peerOut, isDryRun: given.flag("dryRun") }, terminal);
      return undefined;
    },
  },
  {
    name: "keygen",
    description: "make a pre-shared key; print it, or create a file for it (mode 0600)",
    options: [
      {
        flags: "-o, --out <file>",
        text: "create this file; an existing one is never overwritten",
      },
      {
        flags: "-g, --group",
        text: "a key for one hub and many sites, in place of one for two hosts",
      },
    ],
    run: async (given, terminal) => {
      const { keygen } = await import("./keygen.ts");
      await keygen(given.text("out"), given.flag("group"), terminal);
      return undefined;
    },
  },
  {
    name: "check",
    description: "check a configuration and print what would be done with it",
    options: [CONFIG_OPTION, { flags: "--json", text: "print the plan, or the problems, as JSON" }],
    run: async (given, terminal) => {
      const file = given.config();
      const { check } = await import("./check.ts");
      await check(file, given.flag("json"), terminal);
      return undefined;
    },
  },
  {
    name: "status",
    description: "ask a running tunnel for its peers, traffic and drops",
    options: [
      INTERFACE_OPTION,
      { flags: "-p, --peer <name>", text: "everything about this peer", value: "peer" },
      { flags: "-v, --verbose", text: "everything about the interface and every peer" },
      { flags: "--json", text: "print the whole status document as JSON" },
      { flags: "-w, --watch", text: "show it anew every second, with the last minute; q quits" },
    ],
    run: async (given, terminal) => {
      const { status } = await import("./status.ts");
      if (given.flag("watch")) return await watched(given, terminal);
      const [peer, isVerbose] = [given.text("peer"), given.flag("verbose")];
      const request = { interface: given.text("interface"), peer, isVerbose };
      await status({ ...request, isJson: given.flag("json") }, terminal);
      return undefined;
    },
  },
  {
    name: "events",
    description: "print what happens in a running tunnel, line by line",
    options: [
      INTERFACE_OPTION,
      { flags: "-n, --last <count>", text: "begin with so many that are over; 10 unless told" },
      { flags: "--json", text: "print each event as a line of JSON" },
    ],
    run: async (given, terminal) => {
      const { events } = await import("./events.ts");
      const request = { interface: given.text("interface"), last: given.text("last") };
      return await events({ ...request, isJson: given.flag("json") }, terminal);
    },
  },
  {
    name: "rekey",
    description: "start a new session with a peer of a running tunnel, or with all",
    arguments: ["[peer]"],
    options: [INTERFACE_OPTION],
    run: async (given, terminal) => {
      const { rekey } = await import("./rekey.ts");
      await rekey(given.text("interface"), given.text("peer"), terminal);
      return undefined;
    },
  },
  {
    name: "doctor",
    description: "say what keeps the tunnel from working, and what to do; 1: worse than a note",
    options: [CONFIG_OPTION, INTERFACE_OPTION, { flags: "--json", text: "print it as JSON" }],
    run: async (given, terminal) => {
      const question = { file: given.configIfGiven(), name: given.text("interface") };
      const { doctor } = await import("./doctor.ts");
      return await doctor(question, given.flag("json"), terminal);
    },
  },
  {
    name: "ping",
    description: "probe a peer or a node of a group through its session; needs no inner address",
    arguments: ["<peer>"],
    options: [
      { flags: "-c, --count <number>", text: "probes to send, at most 10000 (default 4)" },
      { flags: "-i, --interval <seconds>", text: "between two, at least 0.2 (default 1)" },
      LONG_INTERFACE_OPTION,
      { flags: "--json", text: "print every answer and the sum as JSON at the end" },
    ],
    run: async (given, terminal) => {
      const { ping } = await import("./ping.ts");
      const options = {
        peer: given.text("peer") ?? "",
        count: given.text("count"),
        interval: given.text("interval"),
        interfaceName: given.text("interface"),
        isJson: given.flag("json"),
      };
      return await ping(options, terminal);
    },
  },
  {
    name: "speedtest",
    description: "measure what the path to a peer carries from here, through its session",
    arguments: ["<peer>"],
    options: [
      { flags: "--seconds <number>", text: "how long, at most 60 (default 5)" },
      {
        flags: "--size <bytes>",
        text: "UDP payload of a datagram (default: what the path carries)",
      },
      INTERFACE_OPTION,
      { flags: "--json", text: "print the result as JSON" },
    ],
    run: async (given, terminal) => {
      const { speedTest } = await import("./speedtest.ts");
      const options = {
        peer: given.text("peer") ?? "",
        seconds: given.text("seconds"),
        size: given.text("size"),
        interfaceName: given.text("interface"),
        isJson: given.flag("json"),
      };
      return await speedTest(options, terminal);
    },
  },
  {
    name: "reload",
    description: "read the configuration anew and apply what changed, without a restart",
    options: [
      INTERFACE_OPTION,
      {
        flags: "--confirm <seconds>",
        text: "take it back by itself unless `iptun confirm` comes in this time",
      },
      { flags: "--json", text: "print what was done, or why not, as JSON" },
    ],
    run: async (given, terminal) => {
      const { reload } = await import("./reload.ts");
      const request = { interface: given.text("interface"), confirm: given.text("confirm") };
      return await reload({ ...request, isJson: given.flag("json") }, terminal);
    },
  },
  {
    name: "confirm",
    description: "keep the configuration of a reload that waits for it",
    options: [INTERFACE_OPTION],
    run: async (given, terminal) => {
      const { confirm } = await import("./reload.ts");
      await confirm(given.text("interface"), terminal);
      return undefined;
    },
  },
  {
    name: "completion",
    description: "print completions for bash, zsh or fish; peers: what these ask for",
    arguments: ["<shell>"],
    options: [INTERFACE_OPTION],
    run: async (given, terminal) => {
      const { completion } = await import("./completion.ts");
      const asked = { what: given.text("shell") ?? "", interfaceName: given.text("interface") };
      await completion(asked, COMMAND_LINE, terminal);
      return undefined;
    },
  },
];

/** Made by program.ts. */
export const HELP_COMMAND: CommandShape = {
  name: "help",
  description: "print help for a command",
  arguments: ["[command]"],
  options: [],
};

/** All that the command line takes. */
export const COMMAND_LINE: CommandLine = {
  options: [CONFIG_OPTION, VERSION_OPTION],
  commands: [...COMMANDS, HELP_COMMAND],
  everywhere: [HELP_OPTION],
};

/** Only what the watch does not know how to show is refused. */
async function watched(given: Given, terminal: Terminal): Promise<undefined> {
  const other = ["peer", "verbose", "json"].find((name) => given.flag(name) || given.text(name));
  if (other !== undefined) throw notTogether("watch", other);
  const { chooseSocket } = await import("./daemon-choice.ts");
  const { watch, watchEnvironment } = await import("./status-watch.ts");
  await watch(watchEnvironment(await chooseSocket(given.text("interface"))), terminal);
  return undefined;
}

function notTogether(one: string, other: string): DaemonError {
  return new DaemonError(`--${one} and --${other} do not go together`, EXIT_CODE.USAGE);
}
