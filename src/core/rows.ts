/**
 * Rows: how batches cross the border between TypeScript and the addon.
 *
 * A batch is an arena of bytes plus an `Int32Array` of fixed-size rows over it, both allocated once.
 * Four kinds of row exist: a UDP message, an inner packet, a packet to seal, a datagram to open. The
 * addon exports the same numbers (`layout()`), and they are compared at load, so a mismatch fails at
 * start. Rows carry super-packets (GSO), TOS, DF, local address and device whether or not the device
 * at hand offers them; a field that has nothing to say is zero.
 *
 * Addresses are 16 raw bytes in network order, IPv4 as ::ffff:a.b.c.d, held as four Int32 words in
 * memory order (compare them as words; read them through a byte view).
 */

/** One UDP message: a datagram, or with SEGMENT > 0 a run of equal-size datagrams (the last may be shorter). */
export const MESSAGE = {
  /** Byte offset in the arena. */
  OFFSET: 0,
  /** Bytes of all datagrams together. */
  LENGTH: 1,
  /** Bytes of each datagram of a run (UDP_SEGMENT, UDP_GRO); 0: one datagram. */
  SEGMENT: 2,
  /** Send: 0 or -errno. Receive: MESSAGE_TRUNCATED or 0. */
  STATUS: 3,
  /** Four words: the other end's address. */
  REMOTE: 4,
  /** The other end's UDP port, host order. */
  PORT: 8,
  /** IPv6 scope (interface index) of a link-local REMOTE, else 0. */
  SCOPE: 9,
  /** Four words: receive, the address that was addressed; send, the address to leave from (zero: kernel's choice). */
  LOCAL: 10,
  /** Interface index: receive, where it came in; send, where it must leave (0: by route). */
  DEVICE: 14,
  /** IPv4 TOS or IPv6 traffic class, with ECN. */
  TOS: 15,
  /** MESSAGE_DONT_FRAGMENT. */
  FLAGS: 16,
  /** Send: IPv4 TTL or IPv6 hop limit, 1 to 255; 0: the kernel's default. */
  HOPS: 17,
} as const;
/** Int32 fields a message row occupies. */
export const MESSAGE_FIELDS = 20;
/** STATUS of a received datagram that was longer than its slot; its bytes are worthless. */
export const MESSAGE_TRUNCATED = 1;
/** FLAGS: send with DF set, and fail with EMSGSIZE where it does not fit. */
export const MESSAGE_DONT_FRAGMENT = 1;

/** One inner IP packet, or super-packet (GSO_TYPE != 0), as `struct virtio_net_hdr` describes it (linux/virtio_net.h). */
export const PACKET = {
  OFFSET: 0,
  LENGTH: 1,
  /** PACKET_NEEDS_CHECKSUM | PACKET_PART. */
  FLAGS: 2,
  /** One of `GSO`. */
  GSO_TYPE: 3,
  /** Payload bytes of each segment. */
  GSO_SIZE: 4,
  /** Bytes of IP and transport header, a hint. */
  HEADER_LENGTH: 5,
  /** Offset of the transport header in the packet (with PACKET_NEEDS_CHECKSUM). */
  CHECKSUM_START: 6,
  /** Offset of the checksum field from CHECKSUM_START. */
  CHECKSUM_OFFSET: 7,
  /** Write: 0 or -errno. */
  STATUS: 8,
  /** Write: the row, further on, whose bytes the packet goes on with; 0: it ends here. */
  NEXT: 9,
  /** Write: how many pieces of LENGTH bytes the row stands for, each STRIDE behind the one before; 0: one. */
  PIECES: 10,
  STRIDE: 11,
} as const;
/** Int32 fields a packet row occupies. */
export const PACKET_FIELDS = 12;
/** FLAGS: the transport checksum holds only the pseudo-header sum (VIRTIO_NET_HDR_F_NEEDS_CSUM). */
export const PACKET_NEEDS_CHECKSUM = 1;
/** FLAGS, write only: the row is no packet of its own, an earlier row's NEXT leads to it (one gathered write). */
export const PACKET_PART = 2;

/** GSO_TYPE: which transport a super-packet is cut by (VIRTIO_NET_HDR_GSO_* of linux/virtio_net.h). */
export const GSO = {
  NONE: 0,
  TCP4: 1,
  TCP6: 4,
  /** Either family, each datagram of GSO_SIZE bytes behind its UDP header (UDP_L4, Linux 6.2). */
  UDP: 5,
  /** Added to a TCP type: the first segment has CWR set (RFC 3168 §6.1.2). */
  ECN: 0x80,
} as const;

/** One packet (or super-packet) to seal into SEGMENTS consecutive datagrams. Sealing several leaves the plaintext in ruins. */
export const SEAL = {
  /** Plaintext in the packet arena. */
  IN_OFFSET: 0,
  IN_LENGTH: 1,
  /** Where the first datagram starts in the datagram arena; segments follow one another without gaps. */
  OUT_OFFSET: 2,
  /** Filled by the addon: bytes of all datagrams together. */
  OUT_LENGTH: 3,
  KEY_SLOT: 4,
  /** receiver_index of the DATA header. */
  RECEIVER_INDEX: 5,
  /** Counter of the first segment; the others count on. Low and high 32 bits. */
  COUNTER_LOW: 6,
  COUNTER_HIGH: 7,
  SEGMENTS: 8,
  /** As in the packet row. */
  FLAGS: 9,
  GSO_TYPE: 10,
  GSO_SIZE: 11,
  /** With SEGMENTS > 1 exact: bytes of IP and transport header, which every segment repeats. */
  HEADER_LENGTH: 12,
  CHECKSUM_START: 13,
  CHECKSUM_OFFSET: 14,
  /** Filled by the addon: 0 or -errno. */
  STATUS: 15,
} as const;
/** Int32 fields a seal row occupies. */
export const SEAL_FIELDS = 16;

/**
 * One DATA datagram to open in place, or a run of them that follow one another; each one's header is its
 * associated data and holds its counter.
 */
export const OPEN = {
  OFFSET: 0,
  /** Bytes of all datagrams, headers and tags included. */
  LENGTH: 1,
  KEY_SLOT: 2,
  /** Filled by the addon: plaintext bytes of each (they start 16 bytes after the datagram), or OPEN_FAILED. */
  STATUS: 3,
  /** Free for the caller: the message row that the datagram came in. */
  MESSAGE: 4,
  /** Free for the caller: 1 where its source paid before the open. */
  IS_PREPAID: 5,
  /** Bytes of each datagram of a run; 0: one datagram. */
  SEGMENT: 6,
  /** Filled by the addon: datagrams that opened, from the first on; it stops at one that does not. */
  OPENED: 7,
} as const;
/** Int32 fields an open row occupies. */
export const OPEN_FIELDS = 8;
/**
 * Where two or more of a row opened, the addon overwrites the header of some: two bytes here (little-endian) say
 * how many datagrams from this one on are alike, then the next after those says it of its own. Alike: they
 * hold packets that one super-packet would have been cut into, in its order; or it is one alone.
 */
export const OPENED_ALIKE = 2;
/** STATUS where a tag did not verify; the bytes of that datagram in the arena are worthless. */
export const OPEN_FAILED = -1;

/** Packets that a row to write stands for, each whole or a part of one that was joined. */
export function packetsIn(rows: Int32Array, base: number): number {
  return Math.max(at(rows, base + PACKET.PIECES), 1);
}

/** Field `index` of a row table; the tables are dense, so the 0 for "not there" is never seen. */
export function at(rows: Int32Array, index: number): number {
  return rows[index] ?? 0;
}
