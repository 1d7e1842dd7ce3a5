/**
 * The distribution's openvpn: TLS between two peers, CHACHA20-POLY1305, data-channel offload off.
 *
 * Certificates are made for the run and trusted by fingerprint. The trap: openvpn negotiates its cipher,
 * so its log is read to see that it took the one asked for.
 */
import { join } from "node:path";
import type { Host } from "../netns/lab.ts";
import type { Child } from "../netns/process.ts";
import { PORT, type SideName } from "../netns/topology.ts";
import { versionLine } from "./machine.ts";
import {
  addressesOf,
  type Hosts,
  OUTER_BYTES,
  OUTER_MTU,
  type Subject,
  type Tunnel,
} from "./subject.ts";

const DEVICE = "ovpn0";
const CIPHER = "CHACHA20-POLY1305";
/** Opcode and peer id, packet id, tag: what the data channel adds to a packet. */
const OVERHEAD_BYTES = 4 + 4 + 16;
const MTU = OUTER_MTU - OUTER_BYTES - OVERHEAD_BYTES;

/** openvpn as Debian ships it. */
export const openvpn: Subject = {
  title: "openvpn",
  note: `TLS peer to peer, ${CIPHER}, --disable-dco, tun-mtu set so that the outer packet fits`,
  version: () => versionLine(["openvpn", "--version"]),
  open: openOpenvpn,
};

async function openOpenvpn(hosts: Hosts): Promise<Tunnel> {
  const prints = {
    left: await makeCertificate(hosts.left),
    right: await makeCertificate(hosts.right),
  };
  const right = startSide(hosts.right, "right", prints.left);
  const left = startSide(hosts.left, "left", prints.right);
  for (const child of [left, right]) {
    await child.waitForOutput(new RegExp(`Data Channel: cipher '${CIPHER}'`), 15_000);
  }
  return {
    address: addressesOf("left").other.inner4,
    device: DEVICE,
    processes: [left, right],
  };
}

/** Makes a key and its certificate in the host's folder; returns the certificate's fingerprint. */
async function makeCertificate(host: Host): Promise<string> {
  const [key, certificate] = [join(host.dir, "ovpn.key"), join(host.dir, "ovpn.crt")];
  const curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
  const files = ["-keyout", key, "-out", certificate];
  await host.output([
    "openssl",
    "req",
    "-x509",
    ...curve,
    "-days",
    "2",
    "-subj",
    "/CN=x",
    ...files,
  ]);
  const asked = ["openssl", "x509", "-in", certificate, "-noout", "-fingerprint", "-sha256"];
  const print = /=([0-9A-F:]+)/.exec(await host.output(asked))?.[1];
  if (print === undefined) throw new Error("openssl gives no fingerprint");
  return print;
}

function startSide(host: Host, side: SideName, otherPrint: string): Child {
  const { own, other } = addressesOf(side);
  const port = String(PORT);
  return host.start([
    ...["openvpn", "--dev", DEVICE, "--dev-type", "tun", "--proto", "udp4", "--verb", "3"],
    ...["--local", own.outer4, "--lport", port, "--remote", other.outer4, port],
    ...["--ifconfig", own.inner4, other.inner4, "--tun-mtu", String(MTU), "--mssfix", "0"],
    ...(side === "left" ? ["--tls-client"] : ["--tls-server", "--dh", "none"]),
    ...["--cert", join(host.dir, "ovpn.crt"), "--key", join(host.dir, "ovpn.key")],
    ...["--peer-fingerprint", otherPrint, "--data-ciphers", CIPHER, "--disable-dco"],
  ]);
}
