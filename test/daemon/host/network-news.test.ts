/** The gate between the kernel's news and our looks. */
import { expect, it } from "vitest";
import {
  GATHER_NEWS_MS,
  listenForNews,
  NEWS_PAUSE_MS,
  type News,
  NewsGate,
} from "../../../src/daemon/host/network-news.ts";
import { NEWS } from "../../../src/io/native.ts";
import { fakeNative } from "../../io/fake-native.ts";
import { ManualTimers } from "../timers.ts";

const OWN: News = { isOwn: true, isOther: false };
const OTHER: News = { isOwn: false, isOther: true };

function setUp() {
  const timers = new ManualTimers();
  const looks: News[] = [];
  const clock = { startTimer: timers.start, nowMs: () => timers.nowMs };
  return { timers, looks, gate: new NewsGate(clock, (news) => looks.push(news)) };
}

it("news of a moment are one look", async () => {
  const { timers, looks, gate } = setUp();
  for (const news of [OWN, OTHER, OWN]) gate.add(news);

  await timers.fire(GATHER_NEWS_MS);

  expect(looks).toEqual([{ isOwn: true, isOther: true }]);
  expect(timers.delays()).toEqual([]);
});

it("looks are a second apart, however many news come, and none is lost", async () => {
  const { timers, looks, gate } = setUp();
  gate.add(OWN);
  await timers.fire(GATHER_NEWS_MS);
  timers.nowMs += 200;
  gate.add(OTHER);
  gate.add(OTHER);
  expect(timers.delays()).toEqual([NEWS_PAUSE_MS - 200]);

  await timers.fire(NEWS_PAUSE_MS - 200);

  expect(looks).toEqual([OWN, OTHER]);
});

it("a closed gate tells nothing", () => {
  const { timers, gate } = setUp();
  gate.add(OWN);
  gate.close();
  expect(timers.delays()).toEqual([]);
});

it("the kernel's news come with their kind; errors and what is of no interest do not", () => {
  const answers = [NEWS.OWN, 0, -105, NEWS.OTHER, NEWS.OWN | NEWS.OTHER];
  let onReady: (events: number) => void = () => undefined;
  const closed: number[] = [];
  const heard: News[] = [];
  const native = fakeNative({
    newsOpen: () => 7,
    newsRead: (_fd, device) => {
      expect(device).toBe("iptun0");
      return answers.shift() ?? 0;
    },
    watch: (_fd, _events, callback) => {
      onReady = callback;
      return 0;
    },
    unwatch: () => 0,
    close: (fd) => closed.push(fd),
  });

  const deafen = listenForNews(native)("iptun0", (news) => heard.push(news));
  for (let count = 0; count < 5; count += 1) onReady(1);
  deafen?.();

  expect(heard).toEqual([OWN, OTHER, { isOwn: true, isOther: true }]);
  expect(closed).toEqual([7]);
});

it("a kernel without news is said to have none", () => {
  const native = fakeNative({ newsOpen: () => -93 });
  expect(listenForNews(native)("iptun0", () => undefined)).toBeUndefined();
});
