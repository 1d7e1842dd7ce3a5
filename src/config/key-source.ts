/**
 * A peer's keys, from the configuration itself or from key files.
 *
 * FAULTS H10: a key file is one line of base64, private, regular, no symbolic link. It is read as bytes, which are
 * overwritten after use. Text cannot be, so an inline key's is left to the garbage collector, and so is that of a key
 * file that is refused: best effort.
 *
 * The trap: no message may repeat a key's text, also not a wrong one's, and also not where a key was
 * given as the name of a file.
 */
import { isAbsolute, join } from "node:path";
import { parseKeyText } from "../core/handshake/keys.ts";
import type { Path } from "./locate.ts";
import { exposureFault, type FileContent, type Identity, readRegularFile } from "./private-file.ts";
import type { PeerSettings } from "./schema.ts";
import type { Report } from "./settings.ts";
import { shown } from "./shown.ts";

/** Reads a key file by its whole path; the fault is a clause that follows its name. */
export type KeyFileReader = (file: string) => FileContent | { readonly fault: string };

/** What the reading of keys depends on besides the peer's settings. */
export interface KeyContext {
  /** Directory of the configuration: relative key files start here. */
  readonly directory: string;
  readonly identity: Identity;
  readonly readKeyFile: KeyFileReader;
  /** Where the service manager put what it was to hand over; undefined: nowhere. */
  readonly credentials: string | undefined;
  readonly report: Report;
  /** Takes note of every key that was read, so that it can be overwritten whatever happens next. */
  readonly keep: (key: Uint8Array) => void;
  /** What the file has at the path, right or wrong; undefined: nothing. */
  readonly given: (path: Path) => unknown;
}

/** A key and where it was given. */
export interface SourcedKey {
  /** 32 bytes. */
  readonly key: Uint8Array;
  /** Whether its text says that it is a group's. */
  readonly isGroup: boolean;
  readonly path: Path;
}

/** "group:", 44 digits, CRLF. */
const LONGEST_KEY_TEXT = 52;
/** A byte order mark as text, and as the characters that its bytes are in latin1. */
const BYTE_ORDER_MARK = /^(?:\ufeff|\u00ef\u00bb\u00bf)/;
/** Begins a key file's name that is a credential of the unit. */
const CREDENTIAL = "credential:";
const CREDENTIAL_NAME = /^(?!\.{1,2}$)[A-Za-z0-9._@-]{1,255}$/;
const MAKE_KEY = "make one with `iptun keygen`";

/** The key file of that name on this host. */
export const readKeyFile: KeyFileReader = (file) => readRegularFile(file, LONGEST_KEY_TEXT, true);

/** The keys of one peer; faults are reported and left out. */
export function readKeys(peer: PeerSettings, path: Path, context: KeyContext): SourcedKey[] {
  const isInline = context.given([...path, "key"]) !== undefined;
  const isFile = context.given([...path, "key_file"]) !== undefined;
  if (isInline && isFile) {
    const fault = "is given together with key; expected one of the two; remove the other";
    context.report([...path, "key_file"], fault);
  }
  if (!isInline && !isFile) {
    context.report(
      path,
      "has no key; expected key_file or key; make one with `iptun keygen --out FILE`",
    );
  }
  return [
    ...entries(peer.key, [...path, "key"]).map((one) => inlineKey(one, context)),
    ...entries(peer.key_file, [...path, "key_file"]).map((one) => fileKey(one, context)),
  ].filter((key) => key !== undefined);
}

interface Entry {
  readonly text: string;
  readonly path: Path;
}

function entries(value: string | readonly string[] | undefined, path: Path): readonly Entry[] {
  if (value === undefined) return [];
  if (typeof value === "string") return [{ text: value, path }];
  return value.map((text, index) => ({ text, path: [...path, index] }));
}

function inlineKey({ text, path }: Entry, context: KeyContext): SourcedKey | undefined {
  return parseKey(text, "the key", path, context);
}

function fileKey({ text, path }: Entry, context: KeyContext): SourcedKey | undefined {
  const misplaced = parseKeyText(text);
  if ("key" in misplaced) {
    misplaced.key.fill(0);
    context.report(path, "holds a key itself; expected the path of a key file; use key instead");
    return undefined;
  }
  if (text === "") {
    context.report(path, "is empty; expected the path of a key file");
    return undefined;
  }
  const subject = `key file ${shown(text)}`;
  const place = placeOf(text, context);
  if ("fault" in place) {
    context.report(path, `${subject} ${place.fault}`);
    return undefined;
  }
  const content = context.readKeyFile(place.file);
  if ("fault" in content) {
    context.report(path, `${subject} ${content.fault}`);
    return undefined;
  }
  const exposure = exposureFault(content.stats, place.identityOf(content.stats));
  try {
    if (exposure === undefined) return parseKey(content.bytes, subject, path, context);
    context.report(path, `${subject} ${exposure}`);
    return undefined;
  } finally {
    content.bytes.fill(0);
  }
}

interface Place {
  readonly file: string;
  /** Whom a file with these facts has to be private to. */
  readonly identityOf: (stats: FileContent["stats"]) => Identity;
}

/** Where a key file is: beside the configuration, or among the credentials of the unit (man 5 systemd.exec). */
function placeOf(
  text: string,
  { directory, credentials, identity }: KeyContext,
): Place | { readonly fault: string } {
  if (!text.startsWith(CREDENTIAL)) {
    const file = isAbsolute(text) ? text : join(directory, text);
    return { file, identityOf: () => identity };
  }
  const name = text.slice(CREDENTIAL.length);
  if (!CREDENTIAL_NAME.test(name)) {
    return { fault: 'names no credential; expected one such as "credential:site.key"' };
  }
  if (credentials === undefined || credentials === "") {
    return {
      fault:
        "is a credential, and there are none ($CREDENTIALS_DIRECTORY is not set); expected LoadCredential= in a systemd unit, or the path of a file",
    };
  }
  // The manager opens it to the unit's user by an access list, which shows as a right of the group.
  return {
    file: join(credentials, name),
    identityOf: ({ gid }) => ({ ...identity, gid }),
  };
}

function parseKey(
  text: string | Buffer,
  subject: string,
  path: Path,
  { report, keep }: KeyContext,
): SourcedKey | undefined {
  const parsed = parseKeyText(text);
  if ("fault" in parsed) {
    const words = typeof text === "string" ? text : text.toString("latin1");
    report(path, `${subject} ${parsed.fault}; ${remedy(words)}`);
    return undefined;
  }
  keep(parsed.key);
  return { ...parsed, path };
}

/** A key that only has something around it need not be made anew. */
function remedy(text: string): string {
  const unmarked = text.replace(BYTE_ORDER_MARK, "");
  const parsed = parseKeyText(unmarked.trim());
  if (!("key" in parsed)) return MAKE_KEY;
  parsed.key.fill(0);
  if (unmarked !== text) return "remove the byte order mark (BOM) before the key";
  const what = /[\r\n]/.test(text.replace(/\r?\n$/, "")) ? "blank lines" : "spaces";
  return `remove the ${what} around the key`;
}
