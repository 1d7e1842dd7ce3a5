/**
 * The status page: listens to the daemon's stream and shows what it says, each second. It asks for nothing else but
 * the hour of a peer that is opened, and can change nothing.
 */
import { byId, element, setRows, setText } from "./elements.ts";
import { PeerCard } from "./peer-card.ts";
import type { PageView } from "./view.ts";
import { ageText, bytesText, countText, rateText } from "./words.ts";

/** So few peers are open from the start, where they are connected. */
const OPEN_PEERS = 3;
/** Milliseconds until a refused stream is asked for again. */
const RETRY_MS = 5_000;
const TILES = ["peers connected", "received", "sent", "dropped"] as const;

const cards = new Map<string, PeerCard>();
const tiles = TILES.map(() => element("b"));
let seconds = 3_600;

byId("totals").append(
  ...tiles.map((value, index) =>
    element("div", "tile", value, element("span", "", TILES[index] ?? "")),
  ),
);
for (const input of document.querySelectorAll<HTMLInputElement>("input[name=range]")) {
  input.addEventListener("change", () => {
    seconds = Number(input.value);
    for (const card of cards.values()) card.show(seconds);
  });
}
let isBroken = false;
listen();

function listen(): void {
  const stream = new EventSource("live");
  stream.addEventListener("message", ({ data }) => {
    show(JSON.parse(String(data)));
    if (isBroken) for (const card of cards.values()) card.refresh();
    isBroken = false;
  });
  // The browser comes back by itself, but not where it was refused.
  stream.addEventListener("error", () => {
    isBroken = true;
    if (stream.readyState === EventSource.CLOSED) setTimeout(listen, RETRY_MS);
    setLink("no answer from the daemon", "is-idle");
  });
}

function show(view: PageView): void {
  const { device, totals, drops, errors } = view;
  document.title = `${device.name}: ${totals.up} of ${totals.peers} connected`;
  setText(byId("device"), device.name);
  setLink(device.isLinkUp ? "running" : "link is down", device.isLinkUp ? "is-up" : "is-idle");
  setRows(byId("facts"), [
    ["address", device.addresses.join(", ") || "no address"],
    ["UDP port", String(device.listenPort)],
    ["MTU", String(device.mtu)],
    ["up", ageText(view.uptimeSeconds)],
    ["memory", bytesText(view.residentBytes)],
    ["version", view.version],
  ]);
  const dropped = drops.reduce((sum, { count }) => sum + count, 0);
  const values = [
    `${totals.up} of ${totals.peers}`,
    rateText(totals.inboundBytesPerSecond),
    rateText(totals.outboundBytesPerSecond),
    countText(dropped),
  ];
  for (const [index, tile] of tiles.entries()) setText(tile, values[index] ?? "");
  showPeers(view);
  showDrops([
    ...drops.map(({ count, text, reason }) => [countText(count), text, reason]),
    ...errors.map(({ count, errno }) => [countText(count), "error of the UDP socket", errno]),
  ]);
}

function setLink(text: string, className: string): void {
  const link = byId("link");
  link.className = `pill ${className}`;
  setText(link, text);
}

function showPeers({ peers, hiddenPeers }: PageView): void {
  const names = new Set(peers.map(({ name }) => name));
  for (const [name, card] of cards) {
    if (names.has(name)) continue;
    card.element.remove();
    cards.delete(name);
  }
  for (const peer of peers) {
    const card = cards.get(peer.name);
    if (card !== undefined) card.add(peer);
    else {
      const made = new PeerCard(peer, seconds, peers.length <= OPEN_PEERS && peer.state === "up");
      cards.set(peer.name, made);
      byId("peers").append(made.element);
    }
  }
  const more = byId("more");
  more.hidden = hiddenPeers === 0;
  setText(more, `and ${countText(hiddenPeers)} more, which iptun status shows`);
}

function showDrops(rows: readonly (readonly string[])[]): void {
  byId("dropped").hidden = rows.length === 0;
  const body = byId("drops");
  while (body.children.length > rows.length) body.lastElementChild?.remove();
  while (body.children.length < rows.length) {
    body.append(element("tr", "", element("td"), element("td"), element("td")));
  }
  for (const [index, row] of rows.entries()) {
    for (const [at, text] of row.entries()) {
      const cell = body.children[index]?.children[at];
      if (cell !== undefined) setText(cell, text);
    }
  }
}
