/**
 * The status page of a running tunnel in a real browser: what it shows, that it moves, and that it stays at home.
 *
 * IPTUN_SCREENSHOT=FILE makes the picture of README in place of a short look: five minutes of traffic.
 */
import { chmodSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Browser, chromium, type Page } from "playwright-core";
import { describe, expect, it } from "vitest";
import { type Host, type Lab, withLab } from "../../scripts/netns/lab.ts";
import { relayedPair } from "../../scripts/netns/relay.ts";
import { ADDRESSES, hostPort, type Pair } from "../../scripts/netns/topology.ts";
import { startSender } from "../../scripts/netns/udp-sender.ts";

const { IPTUN_SCREENSHOT } = process.env;
const LISTEN = "127.0.0.1:9586";
const URL_OF_PAGE = `http://${LISTEN}/`;
const PHONE = { width: 360, height: 740 };
const DESK = { width: 1180, height: 690 };
const PORT = 7_001;
const { left, right } = ADDRESSES;
const ARGS = [
  ...["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"],
  ...["--disable-background-networking", "--disable-component-update", "--disable-sync"],
];

describe("the status page", () => {
  it("shows the peers live, in light and dark, on a desk and a phone, and asks nobody else", async () => {
    await withLab(async (lab) => {
      const pair = await pairWithPage(lab);
      const traffic = flow(pair, IPTUN_SCREENSHOT === undefined ? 7 : 330);
      const browser = await browserIn(lab, pair.left.host);
      try {
        if (IPTUN_SCREENSHOT === undefined) await look(browser);
        else await picture(browser, IPTUN_SCREENSHOT);
      } finally {
        await browser.close();
        await traffic;
      }
    });
  });
});

/** A look as a person takes it. */
async function look(browser: Browser): Promise<void> {
  const { page, asked, complaints } = await openPage(browser);
  await page.goto(URL_OF_PAGE);
  const head = page.getByRole("button", { name: /head.office/ });
  await head.waitFor();

  expect(await head.textContent()).toContain("connected");
  expect(await page.locator("#totals").textContent()).toContain("1 of 2");
  expect(await page.locator("#facts").textContent()).toContain(left.inner4);
  expect(await page.locator(".name").allTextContents()).toContain("away.office");

  await page.locator(".plot path.line-in:not(.area)").first().waitFor({ state: "attached" });
  const drawn = () => page.locator(".plot path.line-out").nth(1).getAttribute("d");
  const [before, tile] = [await drawn(), await page.locator(".tile b").nth(2).textContent()];
  await expect.poll(drawn, { timeout: 5_000 }).not.toBe(before);
  await expect.poll(async () => await tileText(page, 2), { timeout: 5_000 }).not.toBe(tile);
  expect(await tileText(page, 2)).toMatch(/ [kM]bit\/s$/);
  const label = await page.getByRole("img", { name: /^Round trip, the last 60 min: now / });
  expect(await label.count()).toBe(1);

  // By keyboard alone.
  await page.keyboard.press("Tab");
  await page.keyboard.press("ArrowLeft");
  expect(await page.locator(".times").first().textContent()).toBe("15 min agonow");
  await head.focus();
  await page.keyboard.press("Enter");
  expect(await head.getAttribute("aria-expanded")).toBe("false");
  await page.keyboard.press("Enter");

  const grounds = [];
  for (const colorScheme of ["light", "dark"] as const) {
    await page.emulateMedia({ colorScheme });
    grounds.push(await page.evaluate("getComputedStyle(document.body).backgroundColor"));
    for (const viewport of [DESK, PHONE]) {
      await page.setViewportSize(viewport);
      const width = await page.evaluate("document.documentElement.scrollWidth");
      expect(width).toBeLessThanOrEqual(viewport.width);
    }
  }
  expect(new Set(grounds).size).toBe(2);
  expect(asked.filter((url) => !url.startsWith(URL_OF_PAGE))).toEqual([]);
  expect(asked).toContain(`${URL_OF_PAGE}live`);
  expect(await page.evaluate("violations")).toEqual([]);
  expect(complaints).toEqual([]);
}

async function tileText(page: Page, index: number): Promise<string> {
  return (await page.locator(".tile b").nth(index).textContent()) ?? "";
}

async function openPage(browser: Browser): Promise<{
  readonly page: Page;
  readonly asked: readonly string[];
  readonly complaints: readonly string[];
}> {
  const page = await browser.newPage({ viewport: DESK, deviceScaleFactor: 1 });
  const [asked, complaints]: [string[], string[]] = [[], []];
  page.on("request", (request) => asked.push(request.url()));
  page.on("console", (message) => complaints.push(message.text()));
  page.on("pageerror", (error) => complaints.push(error.message));
  await page.addInitScript(`globalThis.violations = [];
    document.addEventListener("securitypolicyviolation", ({ violatedDirective, blockedURI }) =>
      violations.push(violatedDirective + " " + blockedURI));`);
  return { page, asked, complaints };
}

async function picture(browser: Browser, file: string): Promise<void> {
  const { page } = await openPage(browser);
  await page.goto(URL_OF_PAGE);
  await page.getByText("5 min", { exact: true }).click();
  await page.waitForTimeout(305_000);
  await page.screenshot({ path: file, fullPage: true });
  for (const colorScheme of ["light", "dark"] as const) {
    await page.emulateMedia({ colorScheme });
    for (const viewport of [DESK, PHONE]) {
      await page.setViewportSize(viewport);
      const path = join("/tmp", `status-page-${colorScheme}-${viewport.width}.png`);
      await page.screenshot({ path, fullPage: true });
    }
  }
}

/** The left site has the page, the right one as a peer, and one that nobody is. */
async function pairWithPage(lab: Lab): Promise<Pair> {
  const keyFile = join(lab.dir, "link.key");
  const peers = [
    {
      name: "head.office",
      keyFile,
      endpoint: hostPort(right.outer4),
      allowedIps: [`${right.inner4}/32`, `${right.inner6}/128`],
    },
    {
      ...{ name: "away.office", key: "q8Mc0CMzIIZmQDVWzvOAvDZsdNvQhgiI1qQoK7kg4fY=" },
      ...{ endpoint: "192.0.2.77:1194", allowedIps: ["10.78.0.0/24"], keepalive: 25 },
    },
  ];
  const settings = { metrics: { listen: LISTEN, page: true }, peers };
  const disturbance = { loss: 0.004, delayMs: 9, jitterMs: 3, duplicate: 0, seed: 11 };
  const { pair } = await relayedPair(lab, { left: { settings }, disturbance });
  return pair;
}

/** UDP both ways for so many seconds, at rates that change like those of people. */
async function flow(pair: Pair, seconds: number): Promise<void> {
  const [a, b] = await Promise.all([
    startSender(pair.left.host, left.inner4, PORT),
    startSender(pair.right.host, right.inner4, PORT),
  ]);
  const end = performance.now() + seconds * 1_000;
  for (let step = 0; performance.now() < end; step += 1) {
    const wave = 1 + Math.sin(step / 4) * 0.6 + Math.sin(step * 1.7) * 0.25;
    const order = { bytes: 1_000, port: PORT, seconds: 2 };
    await Promise.all([
      a.flood({ ...order, address: right.inner4, ratePerSecond: Math.ceil(60 * wave) }),
      b.flood({ ...order, address: left.inner4, ratePerSecond: Math.ceil(420 * wave) }),
    ]);
  }
}

/** Chromium in the host's namespace, where the page is. */
async function browserIn(lab: Lab, host: Host): Promise<Browser> {
  const executablePath = join(lab.dir, "chromium");
  const command = host.inside(["chromium", '"$@"']).map((word) => word.replaceAll("'", "'\\''"));
  const words = command.map((word) => (word === '"$@"' ? word : `'${word}'`));
  writeFileSync(executablePath, `#!/bin/sh\nexec ${words.join(" ")}\n`);
  chmodSync(executablePath, 0o700);
  return await chromium.launch({ executablePath, args: ARGS });
}
