/**
 * Which outer family a listening address allows.
 *
 * The unspecified IPv6 address is the dual-stack socket, PROTOCOL's default; everything else is one family.
 */

/** The family of a socket bound to `listen`, 16 bytes (IPv4 mapped). */
export function outerFamily(listen: Uint8Array): 4 | 6 | "both" {
  const isPlain = listen.subarray(0, 10).every((byte) => byte === 0);
  if (isPlain && listen[10] === 0xff && listen[11] === 0xff) return 4;
  return listen.every((byte) => byte === 0) ? "both" : 6;
}
