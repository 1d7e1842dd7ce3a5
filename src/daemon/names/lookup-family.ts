/**
 * Of which family the addresses of a name are asked for.
 */
import type { Config } from "../../config/config.ts";

/** Only addresses that the socket can send to; 0: of both. `udpFamily`: the socket's, undefined before it is open. */
export function lookupFamily(
  udpFamily: 4 | 6 | undefined,
  { interface: device }: Config,
): 0 | 4 | 6 {
  if (udpFamily === 4) return 4;
  return device.listen.address.some((byte) => byte !== 0) ? 6 : 0;
}
