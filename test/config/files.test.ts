/**
 * Files: the configuration itself and key files, as FAULTS H10 lists what may be wrong with them.
 */
import { execFileSync } from "node:child_process";
import { mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { describe, expect, it, onTestFinished } from "vitest";
import { loadConfig } from "../../src/config/load.ts";
import { exposureFault, processIdentity, readRegularFile } from "../../src/config/private-file.ts";
import { KEY_A, KEY_B } from "../helpers/config-samples.ts";
import { ConfigFiles, configText } from "./config-files.ts";

const MODE = "expected mode 0600, or 0640 with this process's own group; chmod 600 it";
const MAKE = "make one with `iptun keygen`";

describe("H10 a key file", () => {
  it.each([
    ["without line end", KEY_A],
    ["with LF", `${KEY_A}\n`],
    ["with CRLF", `${KEY_A}\r\n`],
  ])("is read %s", (_, content) => {
    const files = new ConfigFiles();
    files.write("b.key", content);
    const config = files.load(configText({ peer: 'key_file = "b.key"' }));
    expect(config.peers[0]?.keys).toEqual([bytesOf(KEY_A)]);
  });

  it("may be given by an absolute path, and several in a list", () => {
    const files = new ConfigFiles();
    const path = files.write("b.key", `${KEY_A}\n`);
    files.write("c.key", `${KEY_B}\n`);
    const config = files.load(configText({ peer: `key_file = ["${path}", "c.key"]` }));
    expect(config.peers[0]?.keys).toEqual([bytesOf(KEY_A), bytesOf(KEY_B)]);
  });

  it.each([
    ["empty", "", "is empty"],
    ["a line end only", "\n", "is empty"],
    ["31 bytes", Buffer.alloc(31, 7).toString("base64"), "has 31 bytes, expected 32"],
    ["33 bytes", Buffer.alloc(33, 7).toString("base64"), "has 33 bytes, expected 32"],
    ["junk after the key", `${KEY_A}x`, "is not standard base64 (passphrases are not accepted)"],
    [
      "a space before the key",
      ` ${KEY_A}`,
      "is not standard base64 (passphrases are not accepted)",
    ],
    ["two line ends", `${KEY_A}\n\n`, "has more than one line"],
    ["two keys", `${KEY_A}\n${KEY_B}\n`, "is longer than 52 bytes"],
    ["binary", Buffer.alloc(32, 0xfe), "is not standard base64 (passphrases are not accepted)"],
    ["all zero", Buffer.alloc(32).toString("base64"), "is all zero"],
  ])("with %s is refused", (_, content, expected) => {
    const files = new ConfigFiles();
    files.write("b.key", content);
    const [line] = files.problems(configText({ peer: 'key_file = "b.key"' }));
    expect(line).toMatch(/^c\.toml:6: peer\[b\]\.key_file: key file "b\.key" /);
    expect(line).toContain(`key file "b.key" ${expected}`);
    expect(line).not.toContain(KEY_A.slice(0, 8));
  });

  it("of wrong content says how to make a right one", () => {
    const files = new ConfigFiles();
    files.write("b.key", "");
    expect(files.problems(configText({ peer: 'key_file = "b.key"' }))).toEqual([
      `c.toml:6: peer[b].key_file: key file "b.key" is empty; ${MAKE}`,
    ]);
  });

  it.each([
    ["a blank line after it", `${KEY_A}\n\n`, "remove the blank lines around the key"],
    ["CRLF blank lines", `${KEY_A}\r\n\r\n`, "remove the blank lines around the key"],
    ["a blank line before it", `\n${KEY_A}\n`, "remove the blank lines around the key"],
    ["a space after it", `${KEY_A} \n`, "remove the spaces around the key"],
    ["a byte order mark", `\ufeff${KEY_A}\n`, "remove the byte order mark (BOM) before the key"],
    ["blank lines only", "\n\n", MAKE],
    ["two different lines", "a\nb\n", MAKE],
  ])("with %s says what to do", (_, content, remedy) => {
    const files = new ConfigFiles();
    files.write("b.key", content);
    const [line] = files.problems(configText({ peer: 'key_file = "b.key"' }));
    expect(line?.split("; ").at(-1)).toBe(remedy);
    expect(line).not.toContain(KEY_A.slice(0, 8));
  });

  it("of a group makes the peer a group's hub", () => {
    const files = new ConfigFiles();
    files.write("b.key", `group:${KEY_A}\n`);
    const peer = 'key_file = "b.key"\nendpoint = "192.0.2.1:1194"';
    expect(files.load(configText({ peer })).peers).toMatchObject([{ kind: "hub" }]);
  });

  it.each([
    [0o644, "0644"],
    [0o604, "0604"],
    [0o660, "0660"],
    [0o601, "0601"],
    [0o777, "0777"],
  ])("of mode %o is refused", (mode, shown) => {
    const files = new ConfigFiles();
    files.write("b.key", KEY_A, mode);
    expect(files.problems(configText({ peer: 'key_file = "b.key"' }))).toEqual([
      `c.toml:6: peer[b].key_file: key file "b.key" can be used by others (mode ${shown}); ${MODE}`,
    ]);
  });

  it("of mode 0640 is accepted for the process's own group only", () => {
    const files = new ConfigFiles();
    files.write("b.key", KEY_A, 0o640);
    const text = configText({ peer: 'key_file = "b.key"' });
    const own = processIdentity();
    expect(files.problems(text, 0o600, own)).toEqual([]);
    expect(files.problems(text, 0o600, { ...own, gid: own.gid + 1 })).toEqual([
      `c.toml:6: peer[b].key_file: key file "b.key" can be used by others (mode 0640); ${MODE}`,
    ]);
  });

  it("that is a symbolic link is refused", () => {
    const files = new ConfigFiles();
    symlinkSync(files.write("real.key", KEY_A), files.path("b.key"));
    expect(files.problems(configText({ peer: 'key_file = "b.key"' }))).toEqual([
      'c.toml:6: peer[b].key_file: key file "b.key" is a symbolic link; expected a regular file; name the file it points to',
    ]);
  });

  it("that is a directory is refused", () => {
    const files = new ConfigFiles();
    mkdirSync(files.path("b.key"));
    expect(files.problems(configText({ peer: 'key_file = "b.key"' }))).toEqual([
      'c.toml:6: peer[b].key_file: key file "b.key" is a directory; expected a regular file',
    ]);
  });

  it("that is a FIFO is refused without waiting for a writer", () => {
    const files = new ConfigFiles();
    execFileSync("mkfifo", ["-m", "600", files.path("b.key")]);
    expect(files.problems(configText({ peer: 'key_file = "b.key"' }))).toEqual([
      'c.toml:6: peer[b].key_file: key file "b.key" is a FIFO; expected a regular file',
    ]);
  });

  it("that is a socket is refused", async () => {
    const files = new ConfigFiles();
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(files.path("b.key"), resolve));
    onTestFinished(() => void server.close());
    expect(files.problems(configText({ peer: 'key_file = "b.key"' }))).toEqual([
      'c.toml:6: peer[b].key_file: key file "b.key" is a socket or a device; expected a regular file',
    ]);
  });

  it("that is a device is refused", () => {
    expect(new ConfigFiles().problems(configText({ peer: 'key_file = "/dev/zero"' }))).toEqual([
      'c.toml:6: peer[b].key_file: key file "/dev/zero" is a device; expected a regular file',
    ]);
  });

  it("below a file does not exist", () => {
    const files = new ConfigFiles();
    expect(files.problems(configText({ peer: 'key_file = "c.toml/b.key"' }))).toEqual([
      'c.toml:6: peer[b].key_file: key file "c.toml/b.key" does not exist',
    ]);
  });

  it("whose name holds a NUL is refused", () => {
    const text = configText({ peer: 'key_file = "a\\u0000b"' });
    expect(new ConfigFiles().problems(text)).toEqual([
      "c.toml:6: peer[b].key_file: holds a control character; expected printable text on one line",
    ]);
  });
});

describe("H10 who else could use a file", () => {
  const owner = { uid: 1000, gid: 1000 };

  it.each([
    [0o100600, 1000, 1000, undefined],
    [0o100400, 1000, 5, undefined],
    [0o100600, 0, 0, undefined],
    [0o100640, 0, 1000, undefined],
    [0o100640, 1000, 0, `can be used by others (mode 0640); ${MODE}`],
    [0o100660, 1000, 1000, `can be used by others (mode 0660); ${MODE}`],
    [0o100606, 1000, 1000, `can be used by others (mode 0606); ${MODE}`],
    [
      0o100600,
      1001,
      1000,
      "belongs to user 1001; expected root or user 1000, whom this process runs as; chown it",
    ],
  ])("with mode %o of user %i and group %i", (mode, uid, gid, expected) => {
    expect(exposureFault({ mode, uid, gid }, owner)).toBe(expected);
  });
});

describe("the configuration file", () => {
  it.each([
    ["none.toml", "does not exist"],
    ["directory", "is a directory; expected a regular file"],
    ["fifo", "is a FIFO; expected a regular file"],
  ])("%s is refused", (name, expected) => {
    const files = new ConfigFiles();
    mkdirSync(files.path("directory"));
    execFileSync("mkfifo", [files.path("fifo")]);
    expect(() => loadConfig(files.path(name))).toThrow(`${files.path(name)}: ${expected}`);
  });

  it("with an inline key must be private", () => {
    expect(new ConfigFiles().problems(configText(), 0o644)).toEqual([
      `c.toml:6: peer[b].key: stands in this file, which can be used by others (mode 0644); ${MODE}`,
    ]);
  });

  it("with an inline key may be read by the process's own group", () => {
    expect(new ConfigFiles().problems(configText(), 0o640)).toEqual([]);
  });

  it("with inline keys of several peers says so once", () => {
    const second = `[[peer]]\nname = "c"\nkey = "${KEY_B}"\nallowed_ips = ["10.2.0.0/16"]\n`;
    const peer = `key = "${KEY_A}"\nallowed_ips = ["10.1.0.0/16"]`;
    expect(new ConfigFiles().problems(`${configText({ peer })}${second}`, 0o644)).toHaveLength(1);
  });

  it("with key files only may be read by everybody", () => {
    const files = new ConfigFiles();
    files.write("b.key", KEY_A);
    expect(files.problems(configText({ peer: 'key_file = "b.key"' }), 0o644)).toEqual([]);
  });

  it("may be a symbolic link", () => {
    const files = new ConfigFiles();
    symlinkSync(files.write("real.toml", configText()), files.path("link.toml"));
    expect(loadConfig(files.path("link.toml")).peers).toHaveLength(1);
  });

  it("has a name that cannot forge a line of the message", () => {
    const files = new ConfigFiles();
    expect(() => loadConfig(files.path("a\nb.toml"))).toThrow(
      `${files.directory}/a\\u000ab.toml: does not exist`,
    );
  });
});

describe("reading", () => {
  it("takes a file of exactly the largest size and refuses one byte more", () => {
    const files = new ConfigFiles();
    writeFileSync(files.path("ten"), "0123456789");
    const content = readRegularFile(files.path("ten"), 10, true);
    expect("bytes" in content && content.bytes.toString()).toBe("0123456789");
    expect(readRegularFile(files.path("ten"), 9, true)).toEqual({
      fault: "is longer than 9 bytes",
    });
  });
});

function bytesOf(base64: string): Uint8Array {
  return new Uint8Array(Buffer.from(base64, "base64"));
}

describe("a credential of the unit", () => {
  const IN_UNIT = 'key_file = "credential:site.key"';

  it("is a key file in the manager's folder, also where an access list opens it to the unit's user", () => {
    for (const mode of [0o400, 0o440]) {
      const files = new ConfigFiles();
      files.write("site.key", `${KEY_A}\n`, mode);
      const file = files.write("c.toml", configText({ peer: IN_UNIT }));
      const nobody = { uid: process.getuid?.() ?? 0, gid: 65_534 };
      expect(loadConfig(file, nobody, files.directory).peers[0]?.keys).toHaveLength(1);
    }
  });

  it.each([
    ["there are none", IN_UNIT, undefined, /CREDENTIALS_DIRECTORY is not set.*LoadCredential=/],
    ["it was not handed over", IN_UNIT, "/nonexistent", /"credential:site.key" does not exist/],
    ["its name leads elsewhere", 'key_file = "credential:../x"', "/tmp", /names no credential/],
    ["it has no name", 'key_file = "credential:"', "/tmp", /names no credential/],
  ])("is refused where %s", (_what, peer, credentials, message) => {
    const file = new ConfigFiles().write("c.toml", configText({ peer }));
    expect(() => loadConfig(file, undefined, credentials)).toThrow(message);
  });

  it("is refused where others may read it", () => {
    const files = new ConfigFiles();
    files.write("site.key", `${KEY_A}\n`, 0o444);
    const file = files.write("c.toml", configText({ peer: IN_UNIT }));
    expect(() => loadConfig(file, undefined, files.directory)).toThrow(/can be used by others/);
  });
});
