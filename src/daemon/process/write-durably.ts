/** A file that is on the disk when it is there (man 2 fsync). */
import { open } from "node:fs/promises";

/** Makes a file that only its owner may read, and waits until it is on the disk. Throws where there is one. */
export async function writeDurably(path: string, text: string): Promise<void> {
  const file = await open(path, "wx", 0o600);
  try {
    await file.writeFile(text);
    await file.sync();
  } finally {
    await file.close();
  }
}
