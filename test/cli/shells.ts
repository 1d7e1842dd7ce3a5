/**
 * What a real shell makes of a line with the generated completions: bash by its completion function, fish by
 * `complete -C`, zsh by a terminal of its own in which the key is pressed.
 */
import { spawn } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { COMMAND_LINE } from "../../src/cli/commands.ts";
import { completionScript } from "../../src/cli/completion.ts";
import type { Shell } from "../../src/cli/completion-table.ts";

/** After which a shell that hangs is ended, before the test is: milliseconds. */
const SHELL_MS = 50_000;
/** Divides what belongs to one line from what belongs to the next. */
const END = "= end of a line";

/** Reads lines from standard input; "=" divides words as readline has it. */
const BASH = `
source "$1"
while IFS= read -r line; do
  spaced=\${line//=/ = }
  read -ra COMP_WORDS <<<"$spaced"
  [[ $line == *[[:space:]=] ]] && { [[ $line == *= ]] || COMP_WORDS+=(""); }
  COMP_CWORD=$((\${#COMP_WORDS[@]} - 1)) COMPREPLY=()
  _iptun "\${COMP_WORDS[0]}"
  (( \${#COMPREPLY[@]} == 0 )) || printf '%s\\n' "\${COMPREPLY[@]}"
  echo "${END}"
done
`;

const FISH = `
source $argv[1]
while read -l line
  complete -C $line
  echo "${END}"
end
`;

/** Presses the key in an interactive zsh; a widget of the test's own puts all candidates into the line and prints it. */
const ZSH = `
zmodload zsh/zpty
zpty inner 'PS1= RPS1= TERM=dumb zsh -f -i'
await() {
  local text
  while zpty -r inner text; do
    if [[ $text == *"$1"* ]]; then
      REPLY=$text
      return 0
    fi
  done
  return 1
}
zpty -w inner 'stty -echo columns 1000; unset zle_bracketed_paste; setopt no_beep no_auto_list'
zpty -w inner "autoload -U compinit; compinit -D -u; source $1"
zpty -w inner 'all() { _main_complete; compstate[insert]=all; compstate[list]= }; zle -C all complete-word all'
zpty -w inner 'typed() { zle all; print -r -- "{""{$BUFFER}""}"; BUFFER=""; }'
zpty -w inner 'zle -N typed; bindkey "^I" typed; print rea""dy'
await ready
while IFS= read -r line; do
  zpty -w -n inner "$line"$'\\t'
  await '}}'
  line=\${REPLY##*\\{\\{}
  print -r -- "\${line%%\\}\\}*}"
  print -r -- "${END}"
done
zpty -d inner
`;

const PROGRAMS = {
  bash: ["--norc", "-c", BASH, "bash"],
  fish: ["-N", "-c", FISH],
  zsh: ["-f", "-c", ZSH, "zsh"],
};

/** What the end of each line can become; the shells run in `directory`. */
export async function completed(
  shell: Shell,
  directory: string,
  lines: readonly string[],
): Promise<readonly (readonly string[])[]> {
  const script = join(directory, `completion.${shell}`);
  writeFileSync(script, completionScript(shell, COMMAND_LINE));
  const text = await output(shell, [...PROGRAMS[shell], script], directory, lines);
  const parts = text.split(`${END}\n`).slice(0, -1);
  return parts.map((part, at) =>
    part
      .split("\n")
      .flatMap((line) =>
        shell === "zsh" ? addedTo(lines[at] ?? "", line) : (line.split("\t")[0] ?? ""),
      )
      .filter((word) => word !== ""),
  );
}

/** The words that took the place of a line's last one. */
function addedTo(typed: string, line: string): readonly string[] {
  if (line === typed) return [];
  const words = line.slice(typed.lastIndexOf(" ") + 1).split(" ");
  // A value is to follow.
  return words.map((word) => word.replace(/=$/, ""));
}

function output(program: string, args: readonly string[], cwd: string, lines: readonly string[]) {
  return new Promise<string>((resolve, reject) => {
    const env = {
      ...process.env,
      HOME: cwd,
      XDG_CONFIG_HOME: join(cwd, ".config"),
      XDG_DATA_HOME: join(cwd, ".data"),
    };
    const options = { cwd, env, timeout: SHELL_MS, stdio: "pipe" } as const;
    const child = spawn(program, args, options);
    let [out, err] = ["", ""];
    child.stdout.on("data", (data: Buffer) => (out += data));
    child.stderr.on("data", (data: Buffer) => (err += data));
    child.on("error", reject);
    child.on("close", (_, signal) => {
      if (err === "" && signal === null) resolve(out);
      else reject(new Error(`${program}: ${signal ?? ""} ${err}`));
    });
    child.stdin.end(lines.map((line) => `${line}\n`).join(""));
  });
}
