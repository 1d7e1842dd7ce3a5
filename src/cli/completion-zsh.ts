/**
 * Completions for zsh: for a file \`_iptun\` in a folder of $fpath, or for \`source\`.
 *
 * The trap: in what _arguments reads, "[", "]" and ":" stand for themselves only after a backslash.
 */
import { type CompletedCommand, type CompletedFlag, SHELLS } from "./completion-table.ts";

/** The script. */
export function zshCompletion(table: readonly CompletedCommand[]): string {
  const [top, ...commands] = table;
  return [
    "#compdef iptun",
    "# Completions of iptun for zsh, as `iptun completion zsh` prints them.",
    "",
    "_iptun() {",
    "  local program=$words[1] curcontext=$curcontext state line ret=1",
    "  typeset -A opt_args",
    "  _arguments -C \\",
    ...(top?.flags ?? []).map((flag) => `    ${flagSpec(flag)} \\`),
    "    '1:command:_iptun_commands' \\",
    "    '*::argument:->argument' && ret=0",
    "  [[ $state == argument ]] || return ret",
    "  case $words[1] in",
    ...commands.flatMap(commandCase),
    "  esac",
    "  return ret",
    "}",
    "",
    "_iptun_commands() {",
    "  local -a commands=(",
    ...commands.map(({ name, text }) => `    ${quoted(`${name}:${text}`)}`),
    "  )",
    "  _describe command commands",
    "}",
    "",
    FUNCTIONS,
  ].join("\n");
}

function commandCase({ name, flags, argument }: CompletedCommand): readonly string[] {
  const specs = flags.map(flagSpec);
  const own = argument === undefined ? [] : [`'1:${argument}:${ACTIONS[argument]}'`];
  const lines = [...specs, ...own].map((spec) => `        ${spec}`);
  return [`    ${name})`, "      _arguments \\", `${lines.join(" \\\n")} && ret=0`, "      ;;"];
}

const ACTIONS = {
  configuration: '_files -g "*.toml"',
  file: "_files",
  interface: "_iptun_interfaces",
  peer: "_iptun_peers",
  command: "_iptun_commands",
  shell: `(${SHELLS.join(" ")})`,
  "": " ",
} as const;

/** "(-c --config)"{-c,--config}"[text]:file:_files". */
function flagSpec({ forms, text, value, placeholder }: CompletedFlag): string {
  const what = `[${text.replace(/[[\]\\]/g, "\\$&")}]`;
  const tail =
    value === undefined ? "" : `:${placeholder.replaceAll(":", "\\:")}:${ACTIONS[value]}`;
  // "=" lets "--config=a" be completed as well; a short form has no such.
  const equals = value === undefined ? "" : "=";
  const [short, long] = forms.length === 2 ? forms : [undefined, forms[0]];
  if (short === undefined) return quoted(`${long}${equals}${what}${tail}`);
  const withValue = value === undefined ? short : `${short}+`;
  return `'(${short} ${long})'{${withValue},${long}${equals}}${quoted(`${what}${tail}`)}`;
}

function quoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

const FUNCTIONS = `# Names of the interfaces that run here: sockets of the runtime directory.
_iptun_interfaces() {
  local directory=\${RUNTIME_DIRECTORY%%:*}
  if [[ -z $directory ]]; then
    directory=\${XDG_RUNTIME_DIR:-/nonexistent}/iptun
    (( EUID == 0 )) && directory=/run/iptun
  fi
  local -a names=($directory/*.sock(N=:t:r))
  _wanted interfaces expl interface compadd -a names
}

_iptun_peers() {
  local interface=\${opt_args[--interface]:-\${opt_args[-i]}}
  local -a names=(\${(f)"$($program completion peers \${interface:+--interface=$interface} 2>/dev/null)"})
  _wanted peers expl peer compadd -a names
}

# As a file of $fpath this is called; by \`source\` it makes itself known.
if [[ $funcstack[1] == _iptun ]]; then
  _iptun "$@"
else
  compdef _iptun iptun
fi
`;
