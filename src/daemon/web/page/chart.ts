/**
 * One chart: a title with the values of this moment, lines in SVG, the top of the scale and the time it shows.
 */
import { areaPath, type Join, linePath, points, scaleTop } from "./chart-data.ts";
import { element, setText, svgElement } from "./elements.ts";
import type { Series } from "./view.ts";
import { ageText } from "./words.ts";

const WIDTH = 600;
const HEIGHT = 100;

export interface ChartOptions {
  readonly title: string;
  /** Names of the lines and the classes that colour them. */
  readonly lines: readonly (readonly [name: string, className: string])[];
  readonly join: Join;
  /** The least that the scale reaches to, in the figures' own unit. */
  readonly least: number;
  readonly text: (value: number | null) => string;
  /** By which the text multiplies a figure, so that the scale ends at a round number of it; 1 unless told. */
  readonly factor?: number;
}

/** A chart and its lines. */
export class Chart {
  readonly element: HTMLElement;
  readonly #options: ChartOptions;
  readonly #svg = svgElement("svg", {
    viewBox: `0 0 ${WIDTH} ${HEIGHT}`,
    preserveAspectRatio: "none",
    role: "img",
  });
  readonly #paths: readonly (readonly [area: SVGElement, line: SVGElement])[];
  readonly #values: readonly HTMLElement[];
  readonly #top = element("span", "top");
  readonly #empty = element("span", "empty", "nothing measured yet");
  readonly #from = element("span");

  constructor(options: ChartOptions) {
    this.#options = options;
    for (const y of [0, HEIGHT / 2, HEIGHT]) {
      this.#svg.append(svgElement("line", { x1: 0, x2: WIDTH, y1: y, y2: y }));
    }
    this.#paths = options.lines.map(([, className]) => [
      svgElement("path", { class: `area ${className}` }),
      svgElement("path", { class: className }),
    ]);
    this.#svg.append(...this.#paths.flat());
    this.#values = options.lines.map(([, className]) => element("span", className));
    this.element = element(
      "figure",
      "chart",
      element(
        "figcaption",
        "",
        element("b", "", options.title),
        element("span", "legend", ...this.#values),
      ),
      element("div", "plot", this.#svg, this.#top, this.#empty),
      element("div", "times", this.#from, element("span", "", "now")),
    );
  }

  /** Draws the last `seconds`; `clock` counts them. */
  update(series: readonly Series[], seconds: number, clock: number): void {
    const { lines, join, least, text, title, factor = 1 } = this.#options;
    const drawn = series.map((one) => points(one, seconds, clock, join));
    const top = scaleTop(drawn, least, factor);
    const spoken = lines.map(([name], index) => {
      const value = text(series[index]?.at(-1) ?? null);
      const label = lines.length === 1 ? value : `${name} ${value}`;
      const own = this.#values[index];
      if (own !== undefined) setText(own, label);
      for (const [at, path] of [areaPath, linePath].entries()) {
        this.#paths[index]?.[at]?.setAttribute("d", path(drawn[index] ?? [], top, WIDTH, HEIGHT));
      }
      return label;
    });
    this.#empty.hidden = drawn.flat().some((value) => value !== null);
    setText(this.#top, withoutZeros(text(top)));
    setText(this.#from, `${ageText(seconds)} ago`);
    this.#svg.setAttribute(
      "aria-label",
      `${title}, the last ${ageText(seconds)}: now ${spoken.join(", ")}; scale to ${text(top)}`,
    );
  }
}

/** "50.0 ms" as "50 ms". */
function withoutZeros(text: string): string {
  return text.replace(/\.(\d*?)0+ /, (_, rest: string) => (rest === "" ? " " : `.${rest} `));
}
