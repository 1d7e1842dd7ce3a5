/** The parts of the npm package noise-handshake 4 that the tests use; it ships no types. */
declare module "noise-handshake" {
  interface NoisePair {
    publicKey: Uint8Array;
    secretKey: Uint8Array;
  }

  class NoiseState {
    constructor(
      pattern: "NNpsk0",
      isInitiator: boolean,
      staticPair: null,
      options: { psk: Uint8Array },
    );
    e: NoisePair | null;
    complete: boolean;
    /** 32-byte keys to send and receive with, once complete. */
    tx: Uint8Array;
    rx: Uint8Array;
    hash: Uint8Array;
    initialise(prologue: Uint8Array): void;
    send(payload: Uint8Array): Uint8Array;
    recv(message: Uint8Array): Uint8Array;
  }

  export = NoiseState;
}
