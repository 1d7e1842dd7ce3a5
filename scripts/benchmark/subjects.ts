/**
 * All subjects of the benchmark, and how one is opened on a kind of link: hosts, wire, tunnel, an answer.
 *
 * Each has a lab of its own, so that several can be open at once and be measured in turns.
 */
import { type Lab, openLab } from "../netns/lab.ts";
import { until } from "../netns/process.ts";
import { twoHosts } from "../netns/topology.ts";
import { ping } from "../netns/traffic.ts";
import { dressLink, type LinkFeatures, type LinkName } from "./links.ts";
import type { Hosts, Subject, Tunnel } from "./subject.ts";
import { fastd } from "./subject-fastd.ts";
import { iptun, iptunPlain } from "./subject-iptun.ts";
import { openvpn } from "./subject-openvpn.ts";
import { plainVeth } from "./subject-veth.ts";
import { wireguardGo } from "./subject-wireguard.ts";

/** The subjects, by the name that `--only` takes, in the order in which tables show them. */
export const SUBJECTS = {
  veth: plainVeth,
  iptun,
  "iptun-plain": iptunPlain,
  "wireguard-go": wireguardGo,
  openvpn,
  fastd,
} as const satisfies Readonly<Record<string, Subject>>;

/** Name of a subject. */
export type SubjectName = keyof typeof SUBJECTS;

/** All subjects, in order. */
export const SUBJECT_NAMES = Object.keys(SUBJECTS) as readonly SubjectName[];

/** The subject that the others are compared with. */
export const REFERENCE: SubjectName = "wireguard-go";

/** A subject that is up and answers. */
export interface OpenSubject extends Tunnel {
  readonly name: SubjectName;
  readonly hosts: Hosts;
  readonly lab: Lab;
  /** MTU of the tunnel's device, as the kernel has it. */
  readonly mtu: number;
  /** What the outer device can do. */
  readonly features: LinkFeatures;
}

/** Opens `name` over a link of `kind`; the caller closes it. */
export async function openSubject(name: SubjectName, kind: LinkName): Promise<OpenSubject> {
  const lab = openLab();
  try {
    const hosts = twoHosts(lab);
    const features = await dressLink(hosts, kind);
    const tunnel = await SUBJECTS[name].open(hosts);
    await until(`answer through ${name}`, 10_000, async () => {
      const { received } = await ping(hosts.left, tunnel.address, 1);
      return received === 1 ? true : undefined;
    });
    const link = hosts.left.ip("link", "show", "dev", tunnel.device);
    return { ...tunnel, name, hosts, lab, mtu: Number(/ mtu (\d+) /.exec(link)?.[1]), features };
  } catch (error) {
    lab.close();
    throw error;
  }
}

/** Ends the programs by a signal that they can act on, then everything else. */
export async function closeSubject(subject: OpenSubject): Promise<void> {
  await Promise.all(subject.processes.map((child) => child.stop("SIGTERM", 2000)));
  subject.lab.close();
}
