/**
 * News of this host's links, addresses, routes and rules, from the kernel (man 7 rtnetlink).
 *
 * They only say that something changed; who hears of it looks for itself. The trap: a router may bring
 * thousands of changes a second, so they are gathered for a moment, and looks are at least a second apart.
 */

import { watchDescriptor } from "../../engine/watch.ts";
import { type Native, NEWS } from "../../io/native.ts";
import type { StartTimer } from "../repeats.ts";

/** Milliseconds for which news are gathered: an address and its routes change together. */
export const GATHER_NEWS_MS = 30;
/** Least milliseconds between two looks. */
export const NEWS_PAUSE_MS = 1_000;

/** What changed since the last look. */
export interface News {
  /** The tunnel's own device, its addresses or a route into it. */
  readonly isOwn: boolean;
  /** Anything else: datagrams may have to leave another way. */
  readonly isOther: boolean;
}

/** Calls with the news as they come; returns what ends that, or undefined where the kernel gives none. */
export type ListenForNews = (
  device: string,
  onNews: (news: News) => void,
) => (() => void) | undefined;

/** The kernel's news through the addon. */
export function listenForNews(native: Native): ListenForNews {
  return (device, onNews) => {
    const fd = native.newsOpen();
    if (fd < 0) return undefined;
    const watch = watchDescriptor(native, fd, "network news", () => {
      const kinds = native.newsRead(fd, device);
      // An error is no news, and the socket goes on.
      if (kinds <= 0) return;
      onNews({ isOwn: (kinds & NEWS.OWN) !== 0, isOther: (kinds & NEWS.OTHER) !== 0 });
    });
    return () => {
      watch.close();
      native.close(fd);
    };
  };
}

/** Gathers news and keeps looks apart. */
export class NewsGate {
  readonly #startTimer: StartTimer;
  readonly #nowMs: () => number;
  readonly #look: (news: News) => void;
  #news: News | undefined;
  #cancel: (() => void) | undefined;
  #lastMs = Number.NEGATIVE_INFINITY;

  constructor(
    {
      startTimer,
      nowMs,
    }: {
      readonly startTimer: StartTimer;
      readonly nowMs: () => number;
    },
    look: (news: News) => void,
  ) {
    this.#startTimer = startTimer;
    this.#nowMs = nowMs;
    this.#look = look;
  }

  add({ isOwn, isOther }: News): void {
    const { isOwn: wasOwn = false, isOther: wasOther = false } = this.#news ?? {};
    this.#news = { isOwn: isOwn || wasOwn, isOther: isOther || wasOther };
    if (this.#cancel !== undefined) return;
    const rest = this.#lastMs + NEWS_PAUSE_MS - this.#nowMs();
    this.#cancel = this.#startTimer(Math.max(GATHER_NEWS_MS, rest), () => this.#tell());
  }

  close(): void {
    this.#cancel?.();
  }

  #tell(): void {
    const news = this.#news;
    this.#news = undefined;
    this.#cancel = undefined;
    this.#lastMs = this.#nowMs();
    if (news !== undefined) this.#look(news);
  }
}
