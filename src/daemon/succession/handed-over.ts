/** What goes from one process to the next beside the descriptors: checked on arrival, for it may be another version's. */
import { z } from "zod";
import { changeSchema } from "../host/journal.ts";

const deviceSchema = z.object({
  mtu: z.int(),
  isUp: z.boolean(),
  addresses: z.array(z.string()),
  routes: z.array(z.string()),
});

export const handedOverSchema = z.object({
  /** Which hand-over it is of the process that gives: `done` and `failed` say it again. */
  number: z.int(),
  /** As last-endpoints.ts writes them. */
  endpoints: z.string(),
  /** What the journal has. */
  changes: z.array(changeSchema),
  /** The device before the tunnel took it; null: it is the tunnel's own. */
  before: deviceSchema.nullable(),
  /** Whether a socket unit has bound the UDP socket, which is then used as it is bound. */
  isUdpGiven: z.boolean().default(false),
});

export type HandedOver = Readonly<z.output<typeof handedOverSchema>>;
