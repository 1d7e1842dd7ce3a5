/**
 * One peer: a line that says how it is, and, once opened, charts of its last hour and the rest.
 *
 * The hour is asked for when the card is opened; from then on each second adds its figures.
 */
import { Chart } from "./chart.ts";
import { element, setRows, setText } from "./elements.ts";
import type { HistoryView, PeerView, Series } from "./view.ts";
import { agoText, bytesText, millisecondsText, rateText, shareText } from "./words.ts";

const HOUR_SECONDS = 3_600;

type Figure =
  | "inboundBytesPerSecond"
  | "outboundBytesPerSecond"
  | "roundTripMs"
  | "inboundLoss"
  | "outboundLoss";

const FIGURES: readonly Figure[] = [
  "inboundBytesPerSecond",
  "outboundBytesPerSecond",
  "roundTripMs",
  "inboundLoss",
  "outboundLoss",
];

const STATES = { up: "connected", connecting: "connecting", idle: "no session" } as const;
const BOTH = [
  ["in", "line-in"],
  ["out", "line-out"],
] as const;

/** A peer's card; `seconds` of charts. */
export class PeerCard {
  readonly element = element("article", "peer");
  readonly #head = element("button", "head");
  readonly #name = element("span", "name");
  readonly #state = element("span", "state");
  readonly #where = element("span", "where");
  readonly #brief = element("span", "brief");
  readonly #charts = element("div", "charts");
  readonly #detail = element("dl", "detail");
  readonly #throughput = new Chart({
    ...{ title: "Throughput", lines: BOTH, join: "mean", least: 1_250, text: rateText },
    factor: 8,
  });
  readonly #trip = new Chart({
    ...{ title: "Round trip", lines: [["", "line-trip"]], join: "max", least: 1 },
    text: millisecondsText,
  });
  readonly #loss = new Chart({
    ...{ title: "Loss", lines: BOTH, join: "max", least: 0.01, text: shareText },
    factor: 100,
  });
  #hour: Record<Figure, (number | null)[]> | undefined;
  #clock = 0;
  #view: PeerView;
  #seconds: number;

  constructor(view: PeerView, seconds: number, isOpen: boolean) {
    this.#view = view;
    this.#seconds = seconds;
    this.#head.type = "button";
    this.#head.append(this.#name, this.#state, this.#where, this.#brief);
    this.#charts.append(this.#throughput.element, this.#trip.element, this.#loss.element);
    this.element.append(this.#head, this.#charts, this.#detail);
    this.#head.addEventListener("click", () => this.#open(this.#charts.hidden));
    this.#show(isOpen);
    this.#update();
    if (isOpen) this.#open(true);
  }

  /** Takes the figures of another second. */
  add(view: PeerView): void {
    this.#view = view;
    this.#clock += 1;
    if (this.#hour !== undefined) {
      for (const figure of FIGURES) {
        this.#hour[figure].push(view[figure]);
        this.#hour[figure].splice(0, this.#hour[figure].length - HOUR_SECONDS);
      }
    }
    this.#update();
  }

  /** Shows another length of time. */
  show(seconds: number): void {
    this.#seconds = seconds;
    this.#update();
  }

  /** Asks for the hour anew: the stream had a gap. */
  refresh(): void {
    if (!this.#charts.hidden) this.#open(true);
  }

  #show(isOpen: boolean): void {
    this.#head.setAttribute("aria-expanded", String(isOpen));
    this.#charts.hidden = !isOpen;
    this.#detail.hidden = !isOpen;
  }

  #open(isOpen: boolean): void {
    this.#show(isOpen);
    this.#hour = undefined;
    if (!isOpen) return;
    fetchHour(this.#view.name)
      .then((hour) => {
        this.#hour = hour;
        this.#update();
      })
      // The stream tells that the daemon is gone; opening the card asks again.
      .catch(() => undefined);
  }

  #update(): void {
    const { name, state, endpoint, kind } = this.#view;
    setText(this.#name, name);
    this.#state.className = `state is-${kind === "group" ? "group" : state}`;
    setText(this.#state, kind === "group" ? "group" : STATES[state]);
    setText(this.#where, endpoint ?? "address not known yet");
    this.#where.hidden = kind === "group";
    setText(this.#brief, briefText(this.#view));
    this.#brief.hidden = kind === "group" || !this.#charts.hidden;
    if (this.#charts.hidden) return;
    setRows(this.#detail, detailRows(this.#view));
    this.#draw();
  }

  #draw(): void {
    const of = (figure: Figure): Series => this.#hour?.[figure] ?? [];
    const [seconds, clock] = [this.#seconds, this.#clock];
    this.#throughput.update(
      [of("inboundBytesPerSecond"), of("outboundBytesPerSecond")],
      seconds,
      clock,
    );
    this.#trip.update([of("roundTripMs")], seconds, clock);
    this.#loss.update([of("inboundLoss"), of("outboundLoss")], seconds, clock);
  }
}

/** What is known of a peer whose card is closed. */
function briefText(view: PeerView): string {
  const { roundTripMs, inboundLoss, outboundLoss } = view;
  const isLossKnown = inboundLoss !== null || outboundLoss !== null;
  const loss = Math.max(inboundLoss ?? 0, outboundLoss ?? 0);
  return [
    `in ${rateText(view.inboundBytesPerSecond)}`,
    `out ${rateText(view.outboundBytesPerSecond)}`,
    ...(roundTripMs === null ? [] : [millisecondsText(roundTripMs)]),
    ...(isLossKnown ? [`${shareText(loss)} loss`] : []),
  ].join(" · ");
}

function detailRows(view: PeerView): readonly (readonly [string, string])[] {
  const { inside, mtu, pathMtu, p95RoundTripMs, jitterMs, silentSeconds } = view;
  const path = pathMtu === null ? "" : `, path ${pathMtu}`;
  const range = `95 % within ${millisecondsText(p95RoundTripMs)}, jitter ${millisecondsText(jitterMs)}`;
  return [
    ["inside", inside.join(", ") || "none"],
    ["handshake", agoText(view.handshakeAgeSeconds)],
    ["heard", agoText(silentSeconds)],
    ["received", bytesText(view.inboundBytes)],
    ["sent", bytesText(view.outboundBytes)],
    ["round trip", range],
    ["MTU", `${mtu}${path}`],
  ];
}

async function fetchHour(peer: string): Promise<Record<Figure, (number | null)[]>> {
  const query = new URLSearchParams({ peer, seconds: String(HOUR_SECONDS) });
  const answer = await fetch(`v1/history?${query}`);
  if (!answer.ok) throw new Error(`history: ${answer.status}`);
  const { peers }: HistoryView = await answer.json();
  const own = peers[0];
  const of = (figure: Figure) => [...(own?.[figure] ?? [])];
  return {
    inboundBytesPerSecond: of("inboundBytesPerSecond"),
    outboundBytesPerSecond: of("outboundBytesPerSecond"),
    roundTripMs: of("roundTripMs"),
    inboundLoss: of("inboundLoss"),
    outboundLoss: of("outboundLoss"),
  };
}
