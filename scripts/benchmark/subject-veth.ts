/**
 * The wire itself, without a tunnel: what the machine, iperf3 and the kernel leave to be had.
 */
import { kernelVersion } from "./machine.ts";
import { addressesOf, type Subject } from "./subject.ts";

/** No tunnel; the kernel alone carries. */
export const plainVeth: Subject = {
  title: "plain veth",
  note: "no tunnel; CPU time and memory of the kernel are not counted",
  version: () => `Linux ${kernelVersion()}`,
  open: async () => ({ address: addressesOf("left").other.outer4, device: "eth0", processes: [] }),
};
