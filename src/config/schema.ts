/**
 * The shape of a configuration file: every table, key, type, range and default, in one place.
 *
 * Only what can be said of one value alone is here; texts are taken apart, and values compared with each
 * other, in `resolve.ts`. Nothing is required, so that one fault never hides another: a value that
 * fails is left out and the rest is read again; in a list, null stands for it. The message of every check is the "expected …" clause.
 *
 * Defaults of `[limits]` are core's. config.example.toml shows each default; a test compares them. The texts of
 * the manual are taken from there, types and ranges from here.
 */
import { z } from "zod";
import { DEFAULT_FAILOVER_MS } from "../core/constants.ts";
import { DEFAULT_LIMITS } from "../core/options.ts";

/** Smallest MTU that IPv6 allows (RFC 8200 §5). */
export const MIN_MTU = 1280;
/** Largest MTU of any outer family; `resolve.ts` lowers it for IPv6. 65,535 - 20 (IPv4) - 8 (UDP) - 32 (DATA). */
export const MAX_MTU_IPV4 = 65_475;
/** Seconds between two looks for a larger path: at most a day. */
const MAX_PROBE_SECONDS = 86_400;
/** Largest 32-bit mark (SO_MARK). */
const MAX_MARK = 0xffff_ffff;
/** Bounds of memory and work that a limit may ask for. */
const MAX_RATE = 1_000_000;
const MIN_SOURCES = 64;
const MAX_SOURCES = 65_536;
/** Addresses of one device; each is compared with every endpoint and costs a command at the start. */
const MAX_ADDRESSES = 256;

/** Endpoints of one peer. */
const MAX_ENDPOINTS = 8;

/** Words of one hook's command. */
const MAX_WORDS = 32;
/** Share of lost packets; less cannot be told from none. */
const MIN_LOSS = 0.001;
const LOSS_EXPECTED = `expected a share from ${MIN_LOSS} to 1`;

const KEY = "expected one line of base64 as `iptun keygen` prints it, or a list of such";
const KEY_FILE = "expected the path of a key file, or a list of paths";

const interfaceSchema = z.strictObject(
  {
    name: text("expected a device name of 1 to 15 bytes").default("iptun0"),
    address: texts(
      'expected a list of addresses with prefix length, such as ["10.0.0.1/24"]',
      MAX_ADDRESSES,
    ),
    mtu: autoOr(MIN_MTU, MAX_MTU_IPV4).default("auto"),
    mtu_probe_seconds: integer(1, MAX_PROBE_SECONDS).default(600),
    listen: text('expected "address:port", such as "[::]:1194"').default("[::]:1194"),
    device: text("expected the name of a network device").default(""),
    routes: flag().default(true),
    fwmark: integer(0, MAX_MARK).default(0),
    copy_dscp: flag().default(false),
    firewall: z
      .union([z.literal("auto"), z.boolean()], { error: 'expected "auto", true or false' })
      .default("auto"),
    state_dir: text("expected an absolute path").default("/var/lib/iptun"),
  },
  { error: tableFault("expected a table: [interface]") },
);

const peerSchema = z.strictObject(
  {
    name: text("expected a name").optional(),
    key: textOrTexts(KEY).optional(),
    key_file: textOrTexts(KEY_FILE).optional(),
    learn: flag().default(false),
    endpoint: textOrTexts('expected "host:port" or a list of such', MAX_ENDPOINTS).optional(),
    failover_ms: integer(200, 60_000, "milliseconds").default(DEFAULT_FAILOVER_MS),
    allowed_ips: texts('expected a list of prefixes, such as ["10.0.0.0/24"]'),
    keepalive: integer(0, 65_535, "seconds").default(0),
    roaming: choice(["validated", "on", "off"]).default("validated"),
    rate: text('expected a rate such as "45mbit"').default(""),
  },
  { error: tableFault("expected a table: [[peer]]") },
);

const limitsSchema = z.strictObject(
  {
    source_rate_per_second: integer(1, MAX_RATE).default(DEFAULT_LIMITS.sourceRatePerSecond),
    source_burst: integer(1, MAX_RATE).default(DEFAULT_LIMITS.sourceBurst),
    sources: integer(MIN_SOURCES, MAX_SOURCES).default(DEFAULT_LIMITS.sources),
    handshakes_per_second: integer(1, MAX_RATE).default(DEFAULT_LIMITS.handshakesPerSecond),
    handshake_burst: integer(1, MAX_RATE).default(DEFAULT_LIMITS.handshakeBurst),
    handshakes_per_second_total: integer(1, MAX_RATE).default(
      DEFAULT_LIMITS.handshakesPerSecondTotal,
    ),
  },
  { error: tableFault("expected a table: [limits]") },
);

const offloadSchema = z.strictObject(
  {
    tso: flag().default(true),
    uso: flag().default(true),
    gso: flag().default(true),
    gro: flag().default(true),
  },
  { error: tableFault("expected a table: [offload]") },
);

const metricsSchema = z.strictObject(
  {
    listen: text('expected "address:port", such as "127.0.0.1:9586"').default(""),
    page: flag().default(false),
    dangerous_non_loopback: flag().default(false),
  },
  { error: tableFault("expected a table: [metrics]") },
);

const hooksSchema = z.strictObject(
  {
    up: hook(),
    down: hook(),
    peer_up: hook(),
    peer_down: hook(),
    endpoint_changed: hook(),
    quality: hook(),
    quality_loss: z
      .number({ error: LOSS_EXPECTED })
      .min(MIN_LOSS, { error: LOSS_EXPECTED })
      .max(1, { error: LOSS_EXPECTED })
      .default(0.05),
    quality_rtt_ms: integer(1, 60_000, "milliseconds").default(200),
    hook_timeout_seconds: integer(1, 600, "seconds").default(10),
  },
  { error: tableFault("expected a table: [hooks]") },
);

const logSchema = z.strictObject(
  {
    level: choice(["error", "warn", "info", "debug"]).default("info"),
    format: choice(["auto", "text", "json"]).default("auto"),
  },
  { error: tableFault("expected a table: [log]") },
);

/** The whole file. */
export const settingsSchema = z.strictObject({
  interface: interfaceSchema.prefault({}),
  peer: z
    .array(peerSchema.nullable(), { error: "expected [[peer]], once for each peer" })
    .default([]),
  limits: limitsSchema.prefault({}),
  offload: offloadSchema.prefault({}),
  metrics: metricsSchema.prefault({}),
  hooks: hooksSchema.prefault({}),
  log: logSchema.prefault({}),
});

/** A file's values with defaults in place, texts not yet taken apart. */
export type Settings = z.output<typeof settingsSchema>;
export type PeerSettings = NonNullable<Settings["peer"][number]>;

/** The keys of each table, by the table's name; "" is the file itself. */
export const KNOWN_KEYS: Readonly<Record<string, readonly string[]>> = {
  "": Object.keys(settingsSchema.shape),
  interface: Object.keys(interfaceSchema.shape),
  peer: Object.keys(peerSchema.shape),
  limits: Object.keys(limitsSchema.shape),
  offload: Object.keys(offloadSchema.shape),
  metrics: Object.keys(metricsSchema.shape),
  hooks: Object.keys(hooksSchema.shape),
  log: Object.keys(logSchema.shape),
};

function hook() {
  return texts('expected a program and its arguments, such as ["/etc/iptun/up"]', MAX_WORDS);
}

function text(error: string) {
  return z.string({ error });
}

function texts(error: string, most?: number) {
  const list = z.array(z.string({ error }).nullable(), { error });
  const tooMany = `expected at most ${most} entries`;
  return (most === undefined ? list : list.max(most, { error: tooMany })).default([]);
}

function textOrTexts(error: string, most?: number) {
  const list = z.array(z.string()).min(1, { error });
  return z.union([z.string(), most === undefined ? list : list.max(most, { error })], { error });
}

function flag() {
  return z.boolean({ error: "expected true or false" });
}

function integer(min: number, max: number, unit?: string) {
  const error = `expected a whole number from ${min} to ${max}${unit === undefined ? "" : ` ${unit}`}`;
  return z.int({ error }).min(min, { error }).max(max, { error });
}

function autoOr(min: number, max: number) {
  const error = `expected "auto" or a whole number from ${min} to ${max}`;
  const number = z.int({ error }).min(min, { error }).max(max, { error });
  return z.union([z.literal("auto"), number], { error });
}

function choice<const Values extends readonly string[]>(values: Values) {
  return z.enum(values, { error: `expected ${values.map((value) => `"${value}"`).join(" or ")}` });
}

/** An unknown key keeps zod's own message: `check.ts` words it with a suggestion. */
function tableFault(error: string) {
  return (issue: { readonly code?: string | undefined }) =>
    issue.code === "unrecognized_keys" ? undefined : error;
}
