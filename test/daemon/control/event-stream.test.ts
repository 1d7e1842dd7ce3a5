/** The event stream: what a listener gets of what is over, ids, and what an event looks like. */
import { describe, expect, it } from "vitest";
import type { Sink } from "../../../src/daemon/control/control-answer.ts";
import { EVENTS_KEPT, EventStream, plainEvent } from "../../../src/daemon/control/event-stream.ts";
import { EVENTS } from "../events.ts";

describe("an event", () => {
  it("is a frame with an id, the time, the log's line and its own fields", () => {
    const stream = new EventStream(() => 1_767_323_045_000);
    const { sink, text } = newSink();
    stream.listen(sink, { lastEventId: undefined, last: 0 });
    stream.publish("info", "peer b is down", plainEvent(EVENTS.down));
    expect(text()).toBe(
      'id: 1767323045000-1\ndata: {"id":"1767323045000-1","at":"2026-01-02T03:04:05.000Z",' +
        '"level":"info","message":"peer b is down","kind":"down","peer":"b","reason":"closed"}\n\n',
    );
  });

  it.each([
    ["session", { endpoint: "192.0.2.1:1194" }],
    ["endpoint", { from: null, to: "192.0.2.1:5000" }],
    ["dead", { endpoint: "192.0.2.1:1194" }],
    ["stranger", { source: "192.0.2.1:1194" }],
    ["claim", { prefix: "10.1.0.5/32" }],
    ["moved", { prefix: "10.1.0.5/32" }],
    ["mtu", { from: 1440, mtu: 1360 }],
  ] as const)("of kind %s has its addresses as text", (kind, fields) => {
    expect(plainEvent(EVENTS[kind])).toMatchObject({ kind, ...fields });
  });

  it("says null where an endpoint is not known", () => {
    expect(plainEvent({ ...EVENTS.session, endpoint: undefined })).toMatchObject({
      endpoint: null,
    });
    const from = EVENTS.session.endpoint;
    expect(plainEvent({ ...EVENTS.endpoint, from })).toMatchObject({ from: "192.0.2.1:1194" });
  });
});

describe("a listener", () => {
  it("hears what comes, and no more when it has left", () => {
    const { stream, publish } = newStream();
    publish(1);
    const { sink, numbers, close } = newSink();
    stream.listen(sink, { lastEventId: undefined, last: 0 });
    publish(2);
    close();
    publish(1);
    expect(numbers()).toEqual([2, 3]);
  });

  it.each([
    [0, []],
    [2, [4, 5]],
    [9, [1, 2, 3, 4, 5]],
  ])("that asks for the last %i of five gets them", (last, expected) => {
    const { stream, publish } = newStream();
    publish(5);
    const { sink, numbers } = newSink();
    stream.listen(sink, { lastEventId: undefined, last });
    expect(numbers()).toEqual(expected);
  });

  it.each([
    ["5000-5", []],
    ["5000-3", [4, 5]],
    ["5000-0", [1, 2, 3, 4, 5]],
    // Of another run, from the future, or no id at all.
    ["4999-3", [1, 2, 3, 4, 5]],
    ["5000-6", [1, 2, 3, 4, 5]],
    ["x", [1, 2, 3, 4, 5]],
    ["5000", [1, 2, 3, 4, 5]],
    ["5000-x", [1, 2, 3, 4, 5]],
  ])("that has seen %j gets those after", (lastEventId, expected) => {
    const { stream, publish } = newStream();
    publish(5);
    const { sink, numbers } = newSink();
    stream.listen(sink, { lastEventId, last: 1 });
    expect(numbers()).toEqual(expected);
  });

  it("that was away too long is told how many are lost", () => {
    const { stream, publish } = newStream();
    publish(EVENTS_KEPT + 10);
    const { sink, numbers, text } = newSink();
    stream.listen(sink, { lastEventId: "5000-3", last: 0 });
    expect(numbers()).toHaveLength(EVENTS_KEPT + 1);
    expect(numbers().slice(0, 2)).toEqual([10, 11]);
    expect(text()).toContain('"message":"7 events were lost","kind":"lost","count":7}');
  });
});

function newStream() {
  const stream = new EventStream(() => 5_000);
  const publish = (count: number) => {
    for (let one = 0; one < count; one += 1) {
      stream.publish("info", "peer b is down", plainEvent(EVENTS.down));
    }
  };
  return { stream, publish };
}

function newSink() {
  let written = "";
  const actions: (() => void)[] = [];
  const sink: Sink = {
    write: (text) => {
      written += text;
    },
    end: () => undefined,
    closed: (action) => actions.push(action),
  };
  return {
    sink,
    text: () => written,
    /** The number in the id of each event. */
    numbers: () => [...written.matchAll(/^id: \d+-(\d+)$/gm)].map(([, number]) => Number(number)),
    close: () => {
      for (const action of actions) action();
    },
  };
}
