/**
 * Completions for bash; nothing of the package bash-completion is needed.
 *
 * The traps: "=" divides words there, so "--config=a" is three of them; and `compgen -W` expands its words, commands in
 * them too, so it gets none that this file does not have, and a name that the shell would take for more than a word is
 * left out.
 */
import { type CompletedCommand, type CompletedFlag, SHELLS } from "./completion-table.ts";

/** The script, for a directory of completions or for `source`. */
export function bashCompletion(table: readonly CompletedCommand[]): string {
  const values = table.flatMap(({ name, flags }) => flags.flatMap((flag) => valueCase(name, flag)));
  const names = table.flatMap(({ name }) => (name === "" ? [] : [name]));
  return [
    "# Completions of iptun for bash, as `iptun completion bash` prints them.",
    "",
    "# The kind of the value that flag $2 of command $1 takes; 1: it takes none.",
    "_iptun_value() {",
    '  case "$1 $2" in',
    ...values,
    "    *) return 1 ;;",
    "  esac",
    "}",
    "",
    "# The flags of command $1, and the kind of its argument.",
    "_iptun_command() {",
    '  case "$1" in',
    ...table.map(commandCase),
    "  esac",
    "}",
    INTERFACES,
    "# What can stand for a value of kind $2 of program $1.",
    "_iptun_words() {",
    "  case $2 in",
    `    command) printf '%s\\n' ${names.join(" ")} ;;`,
    `    shell) printf '%s\\n' ${SHELLS.join(" ")} ;;`,
    "    interface) _iptun_interfaces ;;",
    `    peer) "$1" completion peers \${interface:+--interface "$interface"} 2>/dev/null ;;`,
    "  esac",
    "}",
    COMPLETE,
  ].join("\n");
}

function valueCase(command: string, { forms, value }: CompletedFlag): readonly string[] {
  if (value === undefined) return [];
  const patterns = forms.map((form) => `"${command} ${form}"`).join(" | ");
  return [`    ${patterns}) kind="${value === "" ? "unknown" : value}" ;;`];
}

function commandCase({ name, flags, argument }: CompletedCommand): string {
  const words = flags.flatMap(({ forms }) => forms).join(" ");
  return `    "${name}") flags="${words}" kind="${argument ?? "none"}" ;;`;
}

const INTERFACES = `
# Names of the interfaces that run here: sockets of the runtime directory.
_iptun_interfaces() {
  local directory=\${RUNTIME_DIRECTORY:-} socket
  directory=\${directory%%:*}
  if [[ -z $directory ]]; then
    directory=\${XDG_RUNTIME_DIR:-/nonexistent}/iptun
    if ((EUID == 0)); then directory=/run/iptun; fi
  fi
  for socket in "$directory"/*.sock; do
    if [[ -S $socket ]]; then
      socket=\${socket##*/}
      printf '%s\\n' "\${socket%.sock}"
    fi
  done
}
`;

const COMPLETE = `
_iptun() {
  local current=\${COMP_WORDS[COMP_CWORD]} command="" interface="" kind="" flags="" count=0 at=1 word
  while ((at < COMP_CWORD)); do
    word=\${COMP_WORDS[at]}
    kind=""
    if [[ $word == -* ]]; then
      if _iptun_value "$command" "$word"; then
        at=$((at + 1))
        if [[ \${COMP_WORDS[at]} == "=" && $at -lt $COMP_CWORD ]]; then at=$((at + 1)); fi
        if [[ $kind == interface ]]; then interface=\${COMP_WORDS[at]}; fi
      fi
    elif [[ -z $command ]]; then
      command=$word
    else
      count=$((count + 1))
    fi
    at=$((at + 1))
  done
  if ((at == COMP_CWORD)); then
    # No value is due.
    _iptun_command "$command"
    if [[ $current == -* ]]; then kind=flag; elif ((count > 0)); then kind=none; fi
  elif [[ $current == "=" ]]; then
    current=""
  fi
  case $kind in
    flag) mapfile -t COMPREPLY < <(compgen -W "$flags" -- "$current") ;;
    file | configuration)
      compopt -o filenames 2>/dev/null
      local suffix=""
      if [[ $kind == configuration ]]; then suffix=.toml; fi
      mapfile -t COMPREPLY < <(
        compgen -f -X "!*$suffix" -- "$current"
        if [[ -n $suffix ]]; then compgen -d -- "$current"; fi
      )
      ;;
    *)
      COMPREPLY=()
      while IFS= read -r word; do
        if [[ $word == "$current"* && $word != *[][:space:][:cntrl:]\\\`\\'\\"\\$\\&\\;\\|\\<\\>\\(\\)\\{\\}\\[*?!~#=]* ]]; then
          COMPREPLY+=("$word")
        fi
      done < <(_iptun_words "$1" "$kind")
      ;;
  esac
}
complete -F _iptun iptun
`;
