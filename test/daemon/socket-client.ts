/** Requests to a control socket, as any HTTP client makes them. */
import { type IncomingMessage, request } from "node:http";

export interface Reply {
  readonly code: number;
  readonly type: string;
  readonly body: string;
}

/** Asks and reads the whole answer. */
export async function ask(
  socketPath: string,
  path: string,
  { method = "GET", headers = {} }: { method?: string; headers?: Record<string, string> } = {},
): Promise<Reply> {
  const response = await open(socketPath, path, method, headers);
  let body = "";
  for await (const chunk of response) body += String(chunk);
  return { ...headOf(response), body };
}

/** A stream that is being read. */
export class Listener {
  readonly reply: Omit<Reply, "body">;
  readonly #response: IncomingMessage;
  #text = "";
  isEnded = false;

  private constructor(response: IncomingMessage) {
    this.#response = response;
    this.reply = headOf(response);
    response.setEncoding("utf8");
    response.on("data", (chunk: string) => {
      this.#text += chunk;
    });
    response.on("close", () => {
      this.isEnded = true;
    });
    response.on("error", () => undefined);
  }

  static async open(
    socketPath: string,
    path: string,
    headers: Record<string, string> = {},
  ): Promise<Listener> {
    return new Listener(await open(socketPath, path, "GET", headers));
  }

  /** The data of each event that came, once there are so many. */
  async events(count: number): Promise<readonly Record<string, unknown>[]> {
    for (;;) {
      const events = this.#text.split("\n").filter((line) => line.startsWith("data: "));
      if (events.length >= count) return events.map((line) => JSON.parse(line.slice(6)));
      await new Promise((resolve) => setImmediate(resolve));
    }
  }

  async ended(): Promise<void> {
    while (!this.isEnded) await new Promise((resolve) => setImmediate(resolve));
  }

  close(): void {
    this.#response.destroy();
  }
}

function open(
  socketPath: string,
  path: string,
  method: string,
  headers: Record<string, string>,
): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const call = request({ socketPath, path, method, headers, agent: false }, resolve);
    call.on("error", reject);
    call.end();
  });
}

function headOf({ statusCode = 0, headers }: IncomingMessage): Omit<Reply, "body"> {
  return { code: statusCode, type: headers["content-type"] ?? "" };
}
