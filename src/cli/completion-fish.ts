/** Completions for fish: one line for each command and flag, with the command after which it counts. */
import { type CompletedCommand, type CompletedFlag, SHELLS } from "./completion-table.ts";

/** The script, for a file `iptun.fish` in a directory of completions or for `source`. */
export function fishCompletion(table: readonly CompletedCommand[]): string {
  const commands = table.filter(({ name }) => name !== "");
  const ofCommand = (kind: string) =>
    commands.filter(({ argument }) => argument === kind).map(({ name }) => name);
  return [
    "# Completions of iptun for fish, as `iptun completion fish` prints them.",
    "",
    "# Flags that take a value, each behind its command.",
    `set -g __iptun_valued ${table.flatMap(valued).map(quoted).join(" ")}`,
    FUNCTIONS,
    "complete -c iptun -f",
    ...commands.flatMap(({ name, text }) =>
      argumentLine(["", ...ofCommand("command")], name, text),
    ),
    ...argumentLine(ofCommand("shell"), SHELLS.join(" "), "shell"),
    ...argumentLine(ofCommand("peer"), "(__iptun_peers)", "peer"),
    ...table.flatMap(({ name, flags }) => flags.map((flag) => flagLine(name, flag))),
    "",
  ].join("\n");
}

function valued({ name, flags }: CompletedCommand): readonly string[] {
  const taking = flags.filter(({ value }) => value !== undefined);
  return taking.flatMap(({ forms }) => forms.map((form) => `${name} ${form}`));
}

function argumentLine(commands: readonly string[], words: string, text: string): readonly string[] {
  return [
    `complete -c iptun -n ${condition("__iptun_lacks", commands)} -a ${quoted(words)} -d ${quoted(text)}`,
  ];
}

const VALUES = {
  configuration: "(__iptun_configurations)",
  interface: "(__iptun_interfaces)",
  peer: "(__iptun_peers)",
} as const;

function flagLine(command: string, { forms, text, value }: CompletedFlag): string {
  const names = forms.map((form) =>
    form.startsWith("--") ? `-l ${form.slice(2)}` : `-s ${form.slice(1)}`,
  );
  const words = value !== undefined && value in VALUES ? VALUES[value as keyof typeof VALUES] : "";
  const parts = [
    `complete -c iptun -n ${condition("__iptun_after", [command])}`,
    ...names,
    ...(value === undefined ? [] : [value === "file" ? "-r -F" : "-x"]),
    ...(words === "" ? [] : [`-a ${quoted(words)}`]),
    `-d ${quoted(text)}`,
  ];
  return parts.join(" ");
}

function condition(test: string, commands: readonly string[]): string {
  const words = commands.map((name) => (name === "" ? '""' : name)).join(" ");
  return quoted(`${test} ${words}`);
}

function quoted(text: string): string {
  return `'${text.replace(/['\\]/g, "\\$&")}'`;
}

const FUNCTIONS = `
# Prints the command that is typed already, or an empty line; then each argument of it.
function __iptun_typed
    set -l words (commandline -opc)
    set -l command ""
    set -l isValue 0
    for word in $words[2..-1]
        if test $isValue = 1
            set isValue 0
        else if contains -- "$command $word" $__iptun_valued
            set isValue 1
        else if string match -q -- '-*' $word
            continue
        else if test -z "$command"
            set command $word
            echo $command
        else
            echo $word
        end
    end
    test -n "$command"; or echo
end

# Whether the command is one of these; "": none yet.
function __iptun_after
    set -l typed (__iptun_typed)
    contains -- "$typed[1]" $argv
end

# The same, where its argument is still to come.
function __iptun_lacks
    set -l typed (__iptun_typed)
    test (count $typed) = 1; and contains -- "$typed[1]" $argv
end

# Names of the interfaces that run here: sockets of the runtime directory.
function __iptun_interfaces
    set -l directory (string split -m 1 : -- "$RUNTIME_DIRECTORY")[1]
    if test -z "$directory"
        set directory "$XDG_RUNTIME_DIR/iptun"
        if test (id -u) = 0
            set directory /run/iptun
        end
    end
    for socket in $directory/*.sock
        string replace -r '^.*/(.*)\\.sock$' '$1' -- $socket
    end
end

function __iptun_configurations
    set -l typed (string replace -r '^--[a-z]+=' '' -- (commandline -ct))
    __fish_complete_path $typed | string match -r '^[^\\t]*(?:/|\\.toml)(?:\\t.*)?$'
end

function __iptun_peers
    set -l words (commandline -opc)
    set -l options
    for at in (seq 2 (count $words))
        if contains -- $words[$at] -i --interface
            set options --interface $words[(math $at + 1)]
        else if string match -q -- '--interface=*' $words[$at]
            set options $words[$at]
        end
    end
    $words[1] completion peers $options 2>/dev/null
end
`;
