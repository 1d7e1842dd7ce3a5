/**
 * The rows of the fault plan: what each does, and what passes. scripts/torture runs them by their ids.
 *
 * A row is every test whose name begins with its id, of the unit tests and of those with real packets; this list only
 * says what to expect. A test prints its figure with `figure(id, ...)`.
 */

export interface Row {
  readonly id: string;
  readonly what: string;
  readonly pass: string;
  /** Run besides the tests in a full run; passes with exit code 0. */
  readonly command?: readonly string[];
}

const DATAGRAMS: readonly Row[] = [
  { id: "M1", what: "every bit of every message", pass: "0 accepted, state the same, 0 replies" },
  { id: "M2", what: "every length of every message", pass: "0 accepted, 0 throws" },
  { id: "M3", what: "every value of bytes 0 to 3", pass: "as specified only" },
  { id: "M4", what: "splices, fields swapped between sessions", pass: "0 accepted" },
  {
    id: "M5",
    what: "10,000,000 random mutations",
    pass: "0 crashes, 0 accepted unless equal",
    command: ["scripts/fuzz", "M5"],
  },
  { id: "M6", what: "every message sent back to its sender", pass: "0 sessions confirmed" },
  { id: "M7", what: "ephemerals of low order", pass: "no session with zero secret, 0 throws" },
  { id: "R1", what: "replay window against a set", pass: "equal" },
  { id: "R2", what: "1,000,000 captured packets sent again", pass: "0 delivered, 0 replies" },
  { id: "R3", what: "reorder, loss, duplicates, jitter", pass: "delivered once or dropped" },
  { id: "R4", what: "handshake under 30, 50, 70 % loss", pass: "p95 <= 3, 12, 60 s" },
  { id: "R5", what: "counters at their limits", pass: "no nonce twice, hard stop" },
];

const INNER_PACKETS: readonly Row[] = [
  { id: "I1", what: "routes against a linear model", pass: "equal" },
  { id: "I2", what: "inner sources that are not the peer's", pass: "delivered only if allowed" },
  { id: "I3", what: "a tunnel that leads into itself, a ring", pass: "<= 70,000 B, CPU <= 20 %" },
  { id: "I4", what: "nested, cut and overlapping packets", pass: "no throw, as the reference" },
  {
    id: "I5",
    what: "10,000,000 malformed packets each way",
    pass: "no throw, counters sum",
    command: ["scripts/fuzz", "I5"],
  },
  { id: "I6", what: "trailing bytes, control frames of all lengths", pass: "dropped" },
];

const FLOODS: readonly Row[] = [
  { id: "F1", what: "random bytes, 20, 50, 100 kpps", pass: "loss <= 1, 3, 15 %; silent" },
  { id: "F2", what: "unknown index, 50 kpps", pass: "loss <= 5 %, silent" },
  { id: "F3", what: "forged INIT, 20, 50 kpps", pass: "loss <= 5, 15 %; 0 DH; silent" },
  { id: "F4", what: "a captured INIT again, 20 kpps", pass: "loss <= 10 %; <= 4 replies; 0 DH" },
  { id: "F5", what: "forged DATA, live index, 50 kpps", pass: "loss <= 5 %" },
  { id: "F6", what: "the same, from the endpoint, 20 kpps", pass: "loss <= 10 %, no rekey" },
  { id: "F7", what: "a peer that sends 1,000 INIT a second", pass: "others <= 5 %, p99 <= 1 s" },
  { id: "F8", what: "junk for 50 % loss", pass: "twice wireguard-go" },
  { id: "F9", what: "10,000 half-open handshakes", pass: "half-open <= 128, heap + 4 MB" },
  { id: "F10", what: "100,000 sources", pass: "tables <= 8192, lag p99 <= 20 ms" },
  { id: "F-AMP", what: "replies to spoofed sources", pass: "bytes out / bytes in <= 1" },
];

const HOSTS: readonly Row[] = [
  { id: "H1", what: "restart of one end", pass: "traffic <= 1.5 s p95, or <= 16 s" },
  { id: "H2", what: "kill -9 at 1,000 points", pass: "all recover, nothing left behind" },
  { id: "H3", what: "SIGSTOP 1, 60, 200, 600 s", pass: "no old key, back <= 2 s + RTT" },
  { id: "H4", what: "wall clock moved", pass: "session stays, handshake <= 2 RTT + 1 s" },
  {
    id: "H5",
    what: "the device deleted, down, renamed",
    pass: "exit or mended <= 1 s, CPU <= 5 %",
  },
  { id: "H6", what: "every error of a send", pass: "stays up, counted, mended <= 1 s" },
  { id: "H7", what: "name servers that fail", pass: "retry 1 to 60 s, session stays" },
  { id: "H8", what: "no descriptors, no memory", pass: "clear error, exit not 0" },
  { id: "H9", what: "log disk full, log pipe closed", pass: "traffic loss 0 %, no crash" },
  { id: "H10", what: "key files of every bad kind", pass: "refused with 78, no key bytes" },
  { id: "H11", what: "bad configurations, 10^6 mutations", pass: "line named, < 1 s, < 100 MB" },
  { id: "H12", what: "24 h in virtual time", pass: "heap <= 1 MB/day, tables flat" },
  { id: "H13", what: "1,000 handshakes at once", pass: "up <= 10 s, lag p99 <= 50 ms" },
  { id: "H14", what: "crashes injected at 100 points", pass: "exit, no key in output" },
  { id: "H15", what: "signals in storms", pass: "no debugger, stop <= 1 s" },
  { id: "T1", what: "one real hour under mixed load", pass: "heap flat, descriptors, 0 lost" },
];

const SECRETS: readonly Row[] = [
  { id: "S1", what: "keys in output, files, /proc", pass: "0 hits" },
  { id: "S2", what: "keys in memory after a session", pass: "0 of session keys" },
  { id: "S3", what: "a forced core dump", pass: "no core file" },
  { id: "S4", what: "time of a wrong MAC", pass: "t < 4.5" },
];

/** Every row of the plan. */
export const ROWS: readonly Row[] = [
  ...DATAGRAMS,
  ...INNER_PACKETS,
  ...FLOODS,
  ...HOSTS,
  ...SECRETS,
];
