/** A promise that can only be rejected, from outside. */
export function rejector(): {
  readonly promise: Promise<never>;
  readonly reject: (error: Error) => void;
} {
  let reject: (error: Error) => void = () => undefined;
  const promise = new Promise<never>((_resolve, onReject) => {
    reject = onReject;
  });
  // Whoever waits for it sees the rejection; nobody may be waiting yet.
  promise.catch(() => undefined);
  return { promise, reject };
}
