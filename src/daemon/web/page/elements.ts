/**
 * Elements of the page. Text goes in by `textContent` alone: names of peers are other people's.
 */

/** An HTML element with a class and children. */
export function element<Name extends keyof HTMLElementTagNameMap>(
  name: Name,
  className = "",
  ...children: readonly (Node | string)[]
): HTMLElementTagNameMap[Name] {
  const made = document.createElement(name);
  if (className !== "") made.className = className;
  made.append(...children);
  return made;
}

/** An SVG element with attributes. */
export function svgElement(
  name: "svg" | "path" | "line",
  attributes: Readonly<Record<string, string | number>>,
): SVGElement {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, String(value));
  return made;
}

/** The element of the page with this id. */
export function byId(id: string): HTMLElement {
  const found = document.getElementById(id);
  if (found === null) throw new Error(`the page has no ${id}`);
  return found;
}

/** Sets a text only where it is another, so that a screen reader and a selection are left in peace. */
export function setText(target: Node, text: string): void {
  if (target.textContent !== text) target.textContent = text;
}

/** Fills a list of terms and their values; rows are kept where only values change. */
export function setRows(list: HTMLElement, rows: readonly (readonly [string, string])[]): void {
  const isSame = list.children.length === rows.length;
  if (!isSame) {
    list.replaceChildren(...rows.map(() => element("div", "", element("dt"), element("dd"))));
  }
  for (const [index, [term, value]] of rows.entries()) {
    const [dt, dd] = list.children[index]?.children ?? [];
    if (dt !== undefined) setText(dt, term);
    if (dd !== undefined) setText(dd, value);
  }
}
