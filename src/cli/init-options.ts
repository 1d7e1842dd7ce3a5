/**
 * What `iptun init` must know of the two hosts: each value's option, and its question where a person is asked.
 *
 * Named by strings alone, because the command line is made of it whichever command is chosen. "This host" is
 * where init runs, and "the other host" gets its file from it.
 */

/** A value of init, by the name of its option in camel case. */
export type InitField =
  | "interface"
  | "name"
  | "peer"
  | "endpoint"
  | "peerEndpoint"
  | "networks"
  | "peerNetworks"
  | "address"
  | "peerAddress";

/** Values as text, as they were given, answered or assumed. */
export type InitAnswers = Readonly<Partial<Record<InitField, string>>>;

interface InitOption {
  readonly field: InitField;
  /** As commander reads them. */
  readonly flags: string;
  readonly text: string;
  readonly question: (answers: InitAnswers) => string;
}

/** In the order of the questions: what a default depends on, and what a value is compared with, comes before it. */
export const INIT_OPTIONS: readonly InitOption[] = [
  {
    field: "interface",
    flags: "-i, --interface <name>",
    text: "the tunnel's interface on both hosts (iptun0)",
    question: () => "Interface of the tunnel on both hosts",
  },
  {
    field: "name",
    flags: "-n, --name <name>",
    text: "this host's name (its host name)",
    question: () => "Name of this host",
  },
  {
    field: "peer",
    flags: "-p, --peer <name>",
    text: 'the other host\'s name ("peer")',
    question: () => "Name of the other host",
  },
  {
    field: "endpoint",
    flags: "-e, --endpoint <host:port>",
    text: "where the other host reaches this one; needed, or --peer-endpoint is",
    question: ({ name, peer }) => `Where ${peer} reaches ${name}, host:port`,
  },
  {
    field: "peerEndpoint",
    flags: "--peer-endpoint <host:port>",
    text: "where this host reaches the other one",
    question: ({ name, peer }) => `Where ${name} reaches ${peer}, host:port`,
  },
  {
    field: "networks",
    flags: "--networks <list>",
    text: "networks behind this host, such as 192.168.1.0/24,2001:db8:1::/64",
    question: ({ name }) => `Networks behind ${name}, such as 192.168.1.0/24`,
  },
  {
    field: "peerNetworks",
    flags: "--peer-networks <list>",
    text: "networks behind the other host",
    question: ({ peer }) => `Networks behind ${peer}`,
  },
  {
    field: "address",
    flags: "-a, --address <list>",
    text: "inner addresses of this host, such as 10.77.0.1/24,fd77::1/64 (in free random ranges)",
    question: ({ name }) => `Inner addresses of ${name}`,
  },
  {
    field: "peerAddress",
    flags: "--peer-address <list>",
    text: "inner addresses of the other host (the ones beside this host's)",
    question: ({ peer }) => `Inner addresses of ${peer}`,
  },
];

/** The long option of a value, by which problems name it. */
export function flagOf(field: InitField): string {
  return `--${field.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
}
