/**
 * Plain texts as mdoc(7): lines below 80 bytes, each sentence on a line of its own, nothing taken for a request.
 */

/** mandoc's style asks for less than 80. */
const WIDTH = 78;
const SENTENCE_END = /(?<=[.?!:]["')]?) +(?=[A-Z"`[(])/;

/** A text's lines; what stands in backticks is set in bold. */
export function mdocText(text: string): string {
  const lines = text.split(SENTENCE_END).flatMap(wrapped);
  return lines.map((line) => line.replace(/^[.']/, "\\&$&")).join("\n");
}

/** One argument of a macro, such as `.It Ic`; a word that is the name of a macro would be taken for one. */
export function mdocWord(word: string): string {
  return escaped(word).replace(/^[A-Z%][A-Za-z]$|^[A-Z][a-z]$/, "\\&$&");
}

function wrapped(sentence: string): readonly string[] {
  const lines: string[] = [];
  // A space inside backticks divides no line.
  for (const word of sentence.match(/(?:`[^`]*`|[^ `])+/g) ?? []) {
    const set = bold(word);
    const last = lines.at(-1);
    if (last !== undefined && last.length + 1 + set.length <= WIDTH) {
      lines[lines.length - 1] = `${last} ${set}`;
    } else lines.push(set);
  }
  return lines;
}

function bold(word: string): string {
  return escaped(word).replace(/`([^`]*)`/g, "\\fB$1\\fR");
}

function escaped(text: string): string {
  return text.replaceAll("\\", "\\e").replaceAll("-", "\\-");
}
