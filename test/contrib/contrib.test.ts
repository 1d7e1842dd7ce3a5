/**
 * What is in contrib/: the alert rules run in Prometheus's own tool, and they and the dashboard name only what a
 * scrape has.
 */
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { METRICS } from "../../src/daemon/web/metric-table.ts";
import { scrape } from "../daemon/reading.ts";

const RULES = "contrib/prometheus/iptun.rules.yml";
const DASHBOARD = "contrib/grafana/iptun.json";
const NAMES = new Set(METRICS.map(({ name }) => name));

describe("the metrics", () => {
  it("are named and explained as Prometheus asks for", async () => {
    expect(promtool(["check", "metrics"], await scrape())).toEqual({ status: 0, output: "" });
  });
});

describe("the alert rules", () => {
  it("are valid", () => {
    expect(promtool(["check", "rules", RULES]).status).toBe(0);
  });

  it("fire where something is wrong, and only there", () => {
    const { status, output } = promtool(["test", "rules", "test/contrib/iptun.rules.test.yml"]);

    expect(status, output).toBe(0);
  });

  it("name only metrics that there are, and one each at least", () => {
    const expressions = readFileSync(RULES, "utf8").split("- alert:").slice(1);

    for (const rule of expressions) {
      const [, expression = ""] = /expr:([\s\S]*?)\n {8}(?:for|labels):/.exec(rule) ?? [];
      const names = metricsIn(expression);
      expect(names.length, rule).toBeGreaterThan(0);
      for (const name of names) expect([...NAMES, "up"], rule).toContain(name);
    }
  });
});

describe("the dashboard", () => {
  const board: Dashboard = JSON.parse(readFileSync(DASHBOARD, "utf8"));
  const charts = board.panels.filter(({ type }) => type !== "row");

  it("asks only for metrics that there are", () => {
    expect(charts.length).toBeGreaterThan(10);
    const asked = charts.flatMap(({ targets = [] }) => targets.map(({ expr }) => expr));
    const listed = board.templating.list.flatMap(({ definition }) => definition ?? []);

    for (const expression of [...asked, ...listed]) {
      const names = metricsIn(expression);
      expect(names.length, expression).toBeGreaterThan(0);
      for (const name of names) expect(NAMES, expression).toContain(name);
    }
  });

  it("has panels with a number, a title and a text of their own, and a data source that can be chosen", () => {
    expect(new Set(board.panels.map(({ id }) => id)).size).toBe(board.panels.length);
    for (const { title, description, datasource, targets = [] } of charts) {
      expect(description, title).toMatch(/\.$/);
      for (const source of [datasource, ...targets.map((target) => target.datasource)]) {
        // biome-ignore lint/suspicious/noTemplateCurlyInString: Grafana's own variable.
        expect(source, title).toEqual({ type: "prometheus", uid: "${datasource}" });
      }
      expect(new Set(targets.map(({ refId }) => refId)).size, title).toBe(targets.length);
    }
  });

  it("has panels that lie in the grid and on no other", () => {
    const taken = new Set<string>();
    for (const { title, gridPos } of board.panels) {
      expect(gridPos.x + gridPos.w, title).toBeLessThanOrEqual(24);
      for (let x = gridPos.x; x < gridPos.x + gridPos.w; x += 1) {
        for (let y = gridPos.y; y < gridPos.y + gridPos.h; y += 1) {
          expect(taken.has(`${x} ${y}`), title).toBe(false);
          taken.add(`${x} ${y}`);
        }
      }
    }
  });

  it("uses only variables that it has", () => {
    const known = board.templating.list.map(({ name }) => name);
    const used = JSON.stringify(board.panels).matchAll(/\$\{?(\w+)/g);

    for (const [, name = ""] of used) {
      if (!name.startsWith("__")) expect(known).toContain(name);
    }
  });
});

interface Panel {
  readonly id: number;
  readonly type: string;
  readonly title: string;
  readonly description?: string;
  readonly datasource?: object;
  readonly gridPos: Readonly<Record<"x" | "y" | "w" | "h", number>>;
  readonly targets?: readonly {
    readonly expr: string;
    readonly refId: string;
    readonly datasource: object;
  }[];
}

interface Dashboard {
  readonly panels: readonly Panel[];
  readonly templating: {
    readonly list: readonly { readonly name: string; readonly definition?: string }[];
  };
}

/** Names before a brace, an operator or the end; label names stand inside of braces or `by (…)`. */
function metricsIn(expression: string): readonly string[] {
  const bare = expression.replace(/\{[^}]*\}/g, "").replace(/\bon \([^)]*\)/g, "");
  return [...bare.matchAll(/\b(?:iptun|process)_[a-z_0-9]+\b|\bup\b/g)].map(([name]) => name);
}

function promtool(
  args: readonly string[],
  input = "",
): { readonly status: number | null; readonly output: string } {
  const { status, stdout, stderr, error } = spawnSync("promtool", args, {
    input,
    encoding: "utf8",
    timeout: 30_000,
  });
  if (error !== undefined) throw error;
  return { status, output: `${stdout}${stderr}` };
}
