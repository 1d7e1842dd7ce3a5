/**
 * Learned groups: one key, many sites, and a hub that learns who has which inner address (PROTOCOL, "Groups").
 */
import { describe, expect, it } from "vitest";
import { GROUP_ADDRESSES, GROUP_NODES_PER_SOURCE } from "../../src/core/constants.ts";
import { IS_FULL } from "../helpers/figure.ts";
import { udpPacket, viewPacket } from "../helpers/packets.ts";
import { TYPE } from "../helpers/wire-view.ts";
import {
  bringUp,
  forwarding,
  HUB_INNER,
  holder,
  innerOf,
  newGroup,
  nodesOf,
  say,
} from "../sim/group.ts";
import { dropsOf, eventsOf, isUp } from "../sim/observe.ts";
import { addSite, RIGHT } from "../sim/pair.ts";

describe("two sites with one key", () => {
  it("reach the hub, which learns their addresses, and are reached", () => {
    const group = newGroup();
    bringUp(group);
    const { hub, sites, world } = group;

    expect(nodesOf(hub).map(({ state }) => state)).toEqual(["up", "up"]);
    expect([holder(hub, innerOf(1)), holder(hub, innerOf(2))]).toEqual(["192.0.2.1", "192.0.2.2"]);

    hub.send(...[1, 2].map((n) => packet(HUB_INNER, innerOf(n))));
    world.advance(100);
    expect(sites.map(({ host }) => host.delivered.length)).toEqual([1, 1]);
    expect(dropsOf(hub).no_peer).toBeUndefined();
  });

  it("reach each other through the hub's kernel", () => {
    const group = newGroup();
    bringUp(group);
    forwarding(group);
    const [first, second] = group.sites;

    say(at(first), innerOf(1), innerOf(2));
    group.world.advance(200);

    expect(at(second).host.delivered.map(({ bytes }) => viewPacket(bytes).source)).toEqual([
      innerOf(1),
    ]);
  });

  it("have their own names in the hub's snapshot, below the group's", () => {
    const group = newGroup();
    bringUp(group);
    const names = group.hub.snapshot().peers.map(({ name }) => name);
    expect(names[0]).toBe("branch");
    expect(names.slice(1)).toEqual([
      expect.stringMatching(/^branch\/[0-9a-f]{8}$/),
      expect.stringMatching(/^branch\/[0-9a-f]{8}$/),
    ]);
  });

  it("rekey as a pair does, from the site alone", () => {
    const group = newGroup();
    bringUp(group);
    const { world, hub } = group;
    const stop = world.every(1_000, () => {
      for (const [index, site] of group.sites.entries()) say(site, innerOf(index + 1));
    });
    world.advance(400_000);
    stop();

    expect(nodesOf(hub).map(({ counters }) => counters.sessions)).toEqual([4, 4]);
    expect(world.eve.sentBy("hub", TYPE.INIT)).toEqual([]);
    expect(dropsOf(hub).inner_source).toBeUndefined();
  });

  it("an address that nobody brought has no peer", () => {
    const group = newGroup();
    bringUp(group);
    group.hub.send(packet(HUB_INNER, innerOf(99)));
    group.world.advance(10);
    expect(dropsOf(group.hub).no_peer).toBe(1);
    expect(group.hub.icmp).toHaveLength(1);
  });
});

describe("a claim on an address that another node holds", () => {
  it("is refused, counted and named as long as the holder answers", () => {
    const group = newGroup();
    bringUp(group);
    const { hub, world, sites } = group;
    const stop = world.every(100, () => say(at(sites[1]), innerOf(1)));
    world.advance(10_000);
    stop();

    expect(holder(hub, innerOf(1))).toBe("192.0.2.1");
    expect(dropsOf(hub).inner_taken).toBeGreaterThan(90);
    expect(hub.delivered).toEqual([]);
    const claimant = nodesOf(hub).find(({ refusedClaims }) => refusedClaims > 90);
    expect(eventsOf(hub, "claim").at(0)).toMatchObject({ peer: claimant?.name });
    expect(eventsOf(hub, "moved")).toEqual([]);
    // Three probes a contest, and each rests twice as long as the one before: at 0, 5 and 14 s.
    const [first] = nodesOf(hub);
    expect(first?.counters.keepalivesSent).toBeLessThanOrEqual(7);
    expect(eventsOf(hub, "claim").length).toBeLessThanOrEqual(2);
  });

  it("moves it when the holder does not answer for a second", () => {
    const group = newGroup();
    bringUp(group);
    const { hub, world, sites } = group;
    at(sites[0]).host.isFrozen = true;
    const stop = world.every(100, () => say(at(sites[1]), innerOf(1)));

    const took = world.until(
      "the address moves",
      () => holder(hub, innerOf(1)) === "192.0.2.2",
      3e3,
    );
    world.advance(300);
    stop();

    expect(took).toBeGreaterThan(900);
    expect(took).toBeLessThan(1_300);
    expect(hub.delivered.length).toBeGreaterThan(0);
    expect(eventsOf(hub, "moved")).toHaveLength(1);
  });

  it("does not take it in a short outage from one who has shown to be there", () => {
    const group = newGroup();
    bringUp(group);
    const { hub, world, sites } = group;
    world.every(100, () => say(at(sites[0]), innerOf(1)));
    world.every(100, () => say(at(sites[1]), innerOf(1)));
    world.advance(60_000);
    world.eve.withhold = ({ by, to }) => by === "site1" || to.ip === "192.0.2.1";
    world.advance(1_400);
    world.eve.withhold = () => false;
    world.advance(1_000);
    expect(holder(hub, innerOf(1))).toBe("192.0.2.1");
  });

  it("gives it back to the one that was there first, when that is heard again", () => {
    const group = newGroup();
    bringUp(group);
    const { hub, world, sites } = group;
    at(sites[0]).host.isFrozen = true;
    const stop = world.every(100, () => say(at(sites[1]), innerOf(1)));
    world.until("the address moves", () => holder(hub, innerOf(1)) === "192.0.2.2", 3e3);
    at(sites[0]).host.isFrozen = false;
    say(at(sites[0]), innerOf(1));
    world.advance(2_000);
    stop();

    expect(holder(hub, innerOf(1))).toBe("192.0.2.1");
    expect(eventsOf(hub, "moved")).toHaveLength(1);
  });

  it("leaves it to nobody when the claimant is gone too, and says no more", () => {
    const group = newGroup();
    bringUp(group);
    const { hub, world, sites } = group;
    at(sites[0]).host.isFrozen = true;
    say(at(sites[1]), innerOf(1));
    world.advance(300);
    at(sites[1]).host.act((tunnel, now) => tunnel.close(now));
    world.advance(2_000);

    expect(holder(hub, innerOf(1))).toBe("nobody");
    expect(eventsOf(hub, "moved")).toEqual([]);
  });

  it("succeeds at once when the holder has closed", () => {
    const group = newGroup();
    bringUp(group);
    const { hub, world, sites } = group;
    at(sites[0]).host.act((tunnel, now) => tunnel.close(now));
    world.advance(100);
    expect(holder(hub, innerOf(1))).toBe("nobody");

    say(at(sites[1]), innerOf(1));
    world.advance(100);

    expect(holder(hub, innerOf(1))).toBe("192.0.2.2");
    expect(dropsOf(hub).inner_taken).toBeUndefined();
  });
});

describe("a site that restarts", () => {
  it("with its node id is back with its addresses within 1.5 s", () => {
    const group = newGroup();
    bringUp(group);
    const { hub, world, sites } = group;
    at(sites[0]).host.restart();
    const stop = world.every(50, () => say(at(sites[0]), innerOf(1)));

    const took = world.until("data arrives", () => hub.delivered.length > 0, 1_500);
    stop();

    expect(took).toBeLessThan(1_500);
    expect(holder(hub, innerOf(1))).toBe("192.0.2.1");
    expect(nodesOf(hub)).toHaveLength(2);
    expect(dropsOf(hub).inner_taken).toBeUndefined();
  });

  it("with another node id gets its address when the old one has not answered for a second", () => {
    const group = newGroup();
    bringUp(group);
    const { hub, world, sites } = group;
    at(sites[0]).forgetNodeId();
    at(sites[0]).host.restart();
    world.every(50, () => say(at(sites[0]), innerOf(1)));

    world.until("data arrives", () => hub.delivered.length > 0, 2_500);

    expect(holder(hub, innerOf(1))).toBe("192.0.2.1");
  });
});

describe("a silent node", () => {
  it("is forgotten with its session, and what it did stays in the group's sum", () => {
    const group = newGroup();
    bringUp(group);
    const { hub, world, sites } = group;
    const before = nodesOf(hub)[0]?.counters.inboundPackets;
    at(sites[0]).host.stop();
    world.every(1_000, () => say(at(sites[1]), innerOf(2)));
    world.advance(185_000);

    expect(nodesOf(hub)).toHaveLength(1);
    expect(holder(hub, innerOf(1))).toBe("nobody");
    expect(hub.snapshot().peers[0]?.counters.inboundPackets).toBe(before);
  });
});

describe("nobody can bring", () => {
  const refused = (source: string, others: Parameters<typeof newGroup>[0] = {}) => {
    const group = newGroup(others);
    bringUp(group);
    say(at(group.sites[1]), source);
    group.world.advance(100);
    expect(group.hub.delivered).toEqual([]);
    return { ...group, drops: dropsOf(group.hub) };
  };

  it.each(["10.78.0.1", "192.0.2.7", "fd78::1"])("%s, outside the group's prefixes", (source) => {
    expect(refused(source).drops.inner_source).toBe(1);
  });

  it("the hub's own address", () => {
    expect(refused(HUB_INNER).drops.inner_source).toBe(1);
  });

  it.each(["0.0.0.1", "127.0.0.1", "169.254.0.1", "224.0.0.1", "240.0.0.1", "255.255.255.255"])(
    "%s, though the group's prefix covers it",
    (source) => {
      const { drops } = refused(source, { group: { allowedIps: ["0.0.0.0/0", "::/0"] } });
      expect(drops.inner_source).toBe(1);
    },
  );

  it.each(["::1", "fe80::1", "ff02::1", "::ffff:10.77.0.5"])(
    "%s, though the group's prefix covers it",
    (source) => {
      const { drops } = refused(source, { group: { allowedIps: ["0.0.0.0/0", "::/0"] } });
      expect(drops.inner_source).toBe(1);
    },
  );

  it("an address of a longer configured prefix, with or without a session of its peer", () => {
    const others = [
      { name: "static", keys: [new Uint8Array(32).fill(7)], allowedIps: ["10.77.9.0/24"] },
    ];
    const { hub, world, sites, drops } = refused("10.77.9.1", { others });
    expect(drops.inner_source).toBe(1);
    expect(holder(hub, "10.77.9.1")).toBe("nobody");
    say(at(sites[0]), "10.77.9.1");
    world.advance(100);
    expect(dropsOf(hub).inner_source).toBe(2);
  });

  it(`more than ${GROUP_ADDRESSES} addresses: the one it brought first goes`, () => {
    const group = newGroup({ sites: 1 });
    bringUp(group);
    for (let n = 0; n < 100; n++) say(at(group.sites[0]), `10.77.3.${n + 1}`);
    group.world.advance(200);

    const held = nodesOf(group.hub)[0]?.addresses.map(({ bytes }) => bytes.join("."));
    expect(held).toEqual(Array.from({ length: 64 }, (_, n) => `10.77.3.${n + 37}`));
    expect(group.hub.delivered).toHaveLength(100);
    expect(holder(group.hub, innerOf(1))).toBe("nobody");
  });
});

describe("the key of a group", () => {
  it("answers no handshake on a site: two sites cannot be joined", () => {
    const group = newGroup();
    bringUp(group);
    const { world, sites } = group;
    const [first, second] = sites.map(({ host }) => host);
    world.eve.withhold = ({ by }) => by === "site1";
    at(sites[0]).host.act((tunnel, now) => tunnel.rekey("hub", now));
    world.advance(50);
    const init = world.eve.sentBy("site1", TYPE.INIT).at(-1);
    const before = at(second).snapshot();
    const mark = world.eve.mark();

    const bytes = init?.bytes ?? new Uint8Array();
    world.eve.inject({ ip: "192.0.2.2", port: 1194 }, bytes, at(first).address);
    world.advance(200);

    expect(dropsOf(at(second)).site_init).toBe(1);
    const { sessions, handshakeComputations } = at(second).snapshot();
    expect({ sessions, handshakeComputations }).toEqual({
      sessions: before.sessions,
      handshakeComputations: before.handshakeComputations,
    });
    expect(world.eve.since(mark).filter(({ by }) => by === "site2")).toEqual([]);
  });

  it("is no pair's: the same bytes as a pair's key open nothing", () => {
    const group = newGroup({ sites: 0 });
    const site = addSite(group.world, {
      name: "pairing",
      addresses: ["192.0.2.9"],
      peers: [{ name: "hub", keys: [group.key], endpoints: [RIGHT], allowedIps: ["10.77.0.0/16"] }],
    });
    say(site, innerOf(9));
    group.world.advance(5_000);

    expect(isUp(site.host)).toBe(false);
    const drops = dropsOf(group.hub);
    expect((drops.unknown_hint ?? 0) + (drops.bad_mac ?? 0)).toBeGreaterThan(0);
    expect(nodesOf(group.hub)).toEqual([]);
  });
});

describe("a member that does what it likes", () => {
  it("with many node ids from one address does not delay another node's handshake over 1 s", () => {
    const group = newGroup({ crypto: "stub" });
    bringUp(group);
    const { world, hub, sites } = group;
    world.eve.isRecording = false;
    const nat = world.nat({ ip: "203.0.113.5" });
    const fakes = Array.from({ length: 120 }, (_, index) =>
      group.addOne(index + 10, { addresses: [`10.0.0.${index + 1}`], nat }),
    );
    for (const [index, site] of fakes.entries()) say(site, innerOf(index + 10));
    world.advance(10_000);
    expect(nodesOf(hub).length).toBeGreaterThan(100);
    // 1,200 handshakes a second of known nodes, and as many of new ones.
    world.every(100, (index) => {
      for (const [number, { host }] of fakes.entries()) {
        if (number % 2 === 0) host.act((tunnel, now) => tunnel.rekey("hub", now));
        else if ((number + index) % 5 === 1) fakes[number]?.forgetNodeId();
        if (number % 2 === 1) host.restart();
      }
    });
    world.advance(1_500);
    const took = Array.from({ length: IS_FULL ? 10 : 3 }, () => {
      at(sites[0]).host.restart();
      hub.delivered.length = 0;
      const stop = world.every(20, () => say(at(sites[0]), innerOf(1)));
      const ms = world.until("the honest site is back", () => hub.delivered.length > 0, 5_000);
      stop();
      world.advance(300);
      return ms;
    });

    expect(Math.max(...took)).toBeLessThan(1_000);
    expect(dropsOf(hub).handshake_budget).toBeGreaterThan(1_000);
  });
});

describe("a handshake of a known node", () => {
  it("draws its RESP again, though an outsider raced copies of it: one answer is kept for the node", () => {
    const group = newGroup();
    bringUp(group);
    const { world, sites } = group;
    world.eve.withhold = ({ by }) => by === "site1";
    at(sites[0]).host.act((tunnel, now) => tunnel.rekey("hub", now));
    world.advance(20);
    world.eve.withhold = () => false;
    const init = at(world.eve.sentBy("site1", TYPE.INIT).at(-1));
    const mark = world.eve.mark();
    for (let copy = 0; copy < 4; copy++) {
      world.eve.replay(init, { ip: "203.0.113.9", port: 1000 + copy });
      world.advance(1);
    }
    world.eve.replay(init);
    world.advance(5);

    const answers = world.eve.since(mark, TYPE.RESP).map(({ to }) => to.ip);
    expect(answers.filter((ip) => ip === "192.0.2.1")).toHaveLength(1);
  });

  it("gets through a flood from its own address, whatever another member does", () => {
    const group = newGroup({ crypto: "stub" });
    bringUp(group);
    const { world, hub, sites } = group;
    world.eve.isRecording = false;
    const junk = new Uint8Array(120).fill(1).with(1, 1);
    world.every(10, () => {
      for (let n = 0; n < 8; n++) {
        for (const site of [1, 2])
          world.eve.inject(RIGHT, junk, { ip: `192.0.2.${site}`, port: 5 });
      }
    });
    world.every(5, () => at(sites[1]).host.restart());
    world.advance(2_000);
    for (let round = 0; round < 3; round++) {
      at(sites[0]).host.restart();
      hub.delivered.length = 0;
      const stop = world.every(20, () => say(at(sites[0]), innerOf(1)));
      const took = world.until("the site is back", () => hub.delivered.length > 0, 20_000);
      stop();
      expect(took).toBeLessThan(1_500);
      world.advance(500);
    }
  });

  it("refused for want of room is refused once: copies of it cost and take nothing", () => {
    const group = newGroup({ sites: 0, crypto: "stub" });
    const { world, hub } = group;
    const nat = world.nat({ ip: "203.0.113.5" });
    for (let index = 0; index < GROUP_NODES_PER_SOURCE; index++) {
      group.addOne(index + 1, { addresses: [`10.0.${index >> 8}.${index & 0xff}`], nat });
    }
    world.advance(30_000);
    expect(nodesOf(hub)).toHaveLength(GROUP_NODES_PER_SOURCE);
    group.addOne(999, { addresses: ["10.0.9.9"], nat });
    world.until("it is refused", () => (dropsOf(hub).group_full ?? 0) > 0, 5_000);
    const before = dropsOf(hub).group_full ?? 0;
    const init = at(world.eve.sentBy("site999", TYPE.INIT).at(-1));
    for (let copy = 0; copy < 50; copy++) world.eve.replay(init);
    world.advance(1);

    expect(dropsOf(hub).group_full).toBeLessThanOrEqual(before + 1);
  });
});

describe("a site that has sent nothing", () => {
  it("is reached by the addresses that it names when its session comes up", () => {
    const group = newGroup({ sites: 0 });
    const site = group.addOne(5, { inner: [innerOf(5)] });
    group.world.advance(1_000);
    expect(holder(group.hub, innerOf(5))).toBe("192.0.2.5");

    group.hub.send(packet(HUB_INNER, innerOf(5)));
    group.world.advance(100);
    expect(site.host.delivered).toHaveLength(1);
  });

  it("gets no address by naming one outside the group's prefixes, or one that is held", () => {
    const group = newGroup({ sites: 1 });
    bringUp(group);
    group.addOne(6, { inner: ["10.99.0.1", innerOf(1), innerOf(6)] });
    group.world.advance(1_000);

    expect(holder(group.hub, innerOf(1))).toBe("192.0.2.1");
    expect(holder(group.hub, innerOf(6))).toBe("192.0.2.6");
    expect(holder(group.hub, "10.99.0.1")).toBe("nobody");
    expect(dropsOf(group.hub).inner_taken).toBeGreaterThan(0);
  });
});

describe("bounds", () => {
  it(`at most ${GROUP_NODES_PER_SOURCE} nodes come from one address`, () => {
    const group = newGroup({ sites: 0, crypto: "stub" });
    const { world, hub } = group;
    const nat = world.nat({ ip: "203.0.113.5" });
    const count = GROUP_NODES_PER_SOURCE + 10;
    const sites = Array.from({ length: count }, (_, index) =>
      group.addOne(index + 1, { addresses: [`10.0.${index >> 8}.${index & 0xff}`], nat }),
    );
    world.eve.isRecording = false;
    for (const [index, site] of sites.entries()) say(site, innerOf(index + 1));
    world.advance(30_000);

    expect(nodesOf(hub)).toHaveLength(GROUP_NODES_PER_SOURCE);
    expect(dropsOf(hub).group_full).toBeGreaterThan(0);
  });

  it("removing the group ends its nodes, frees their keys and tells them", () => {
    const group = newGroup();
    bringUp(group);
    const { hub, hubSite, world, sites } = group;
    hub.act((tunnel, now) => tunnel.removePeer("branch", now));
    world.advance(50);

    expect(hub.snapshot().sessions).toBe(0);
    expect(hub.snapshot().peers).toEqual([]);
    expect(hubSite.aead().loadedKeys).toBe(0);
    expect(sites.map(({ host }) => isUp(host))).toEqual([false, false]);
  });
});

function at<T>(value: T | undefined): T {
  if (value === undefined) throw new Error("not there");
  return value;
}

function packet(from: string, to: string): Uint8Array {
  return udpPacket(from, to, Uint8Array.of(1));
}
