/**
 * Watches this host's own addresses and links, and tells when datagrams may have to leave another way.
 *
 * News of the kernel come through a gate that bounds how often they are acted on; beside them a slow poll, or
 * a quicker one where the kernel gives no news.
 */
import { SECOND_MS } from "../../core/time.ts";
import type { Repeats, StartTimer } from "../repeats.ts";
import { type ListenForNews, NewsGate } from "./network-news.ts";
import { type Interfaces, isSameLinks, type OwnLinks, ownLinks } from "./own-addresses.ts";

/** Milliseconds between two looks at the host's addresses and the device, without and with news of them. */
export const INTERFACE_POLL_MS = 2 * SECOND_MS;
export const QUIET_POLL_MS = 30 * SECOND_MS;

export interface LinkWatchSetting {
  readonly interfaces: () => Interfaces;
  /** Bytes of the longest packet that a device takes; negative: there is none of this name. */
  readonly linkMtu: (device: string) => number;
  readonly listenForNews: ListenForNews;
  readonly startTimer: StartTimer;
  readonly nowMs: () => number;
  /** The tunnel's own device, which does not count. */
  readonly name: string;
  readonly changed: (links: OwnLinks) => void;
  /** Looks at what else may have changed. */
  readonly poll: () => Promise<void>;
  /** Hears why a look failed. */
  readonly failed: (error: unknown) => void;
}

/** The links of one host. */
export class LinkWatch {
  readonly #setting: LinkWatchSetting;
  #own: OwnLinks = { addresses: [], linkMtu: 0 };

  constructor(setting: LinkWatchSetting) {
    this.#setting = setting;
  }

  /** The links as they are; later looks compare with them. */
  read(): OwnLinks {
    this.#own = this.#look();
    return this.#own;
  }

  /** The links as they were last seen. */
  get own(): OwnLinks {
    return this.#own;
  }

  /** Watches, with the news of `device`, until `repeats` ends. */
  start(device: string, repeats: Repeats): void {
    const gate = new NewsGate(this.#setting, ({ isOther }) => {
      this.#poll(isOther).catch(this.#setting.failed);
    });
    const deafen = this.#setting.listenForNews(device, (news) => gate.add(news));
    repeats.also(() => gate.close());
    if (deafen !== undefined) repeats.also(deafen);
    const periodMs = deafen === undefined ? INTERFACE_POLL_MS : QUIET_POLL_MS;
    repeats.every(periodMs, () => this.#poll(false));
  }

  /** `isNews`: datagrams may have to leave another way, also where no address changed. */
  async #poll(isNews: boolean): Promise<void> {
    const own = this.#look();
    if (isNews || !isSameLinks(own, this.#own)) {
      this.#own = own;
      this.#setting.changed(own);
    }
    await this.#setting.poll();
  }

  #look(): OwnLinks {
    const { interfaces, linkMtu, name } = this.#setting;
    return ownLinks(interfaces(), name, linkMtu);
  }
}
