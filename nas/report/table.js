// A table that sorts and filters; of a long table, the page holds only the visible rows.
const ROW = 30, CARD = 60, SPARE = 12, SHORT = 100;
const phone = matchMedia("(max-width: 40rem)");
const writers = {
  fraction: new Intl.NumberFormat("en", { minimumFractionDigits: 4, maximumFractionDigits: 4 }),
  milliseconds: new Intl.NumberFormat("en", { minimumFractionDigits: 3, maximumFractionDigits: 3 }),
  seconds: new Intl.NumberFormat("en", { minimumFractionDigits: 1, maximumFractionDigits: 1 }),
  number: new Intl.NumberFormat("en", { maximumSignificantDigits: 6 }),
  count: new Intl.NumberFormat("en"),
};

function written(form, value) {
  if (value === null || value === undefined) return "";
  if (form === "flag") return value ? "yes" : "";
  return writers[form] ? writers[form].format(value) : String(value);
}

/** As in drawings: 4.51M. */
function compact(value) {
  for (const unit of ["", "K", "M", "G"]) {
    if (value < 999.5) return Number(value.toPrecision(3)) + unit;
    value /= 1000;
  }
  return `${Number(value.toPrecision(3))}T`;
}

const brief = (form, value) => (form === "count" && value !== null ? compact(value) : written(form, value));

/** @returns {any} */
function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== null && value !== undefined) made.setAttribute(name, value);
  }
  made.append(...children);
  return made;
}

class Grid {
  /**
   * @param {any} root
   * @param {{key: string, label: string, hint?: string, open?: (name: string) => void, href?: (name: string) => string | undefined}} options
   * key: the column whose cells open a row; open(name): what that does, or href(name): where they lead.
   */
  constructor(root, { key, label, hint = "resnet searched macs<1e6", open, href }) {
    this.root = root;
    this.key = key;
    this.open = open;
    this.href = href;
    this.sorted = null;
    this.descending = false;
    this.from = this.to = -1;
    this.search = element("input", {
      type: "search", "aria-label": `Search ${label}`, placeholder: `Search: ${hint}`,
    });
    this.count = element("output", { "aria-live": "polite" });
    this.table = element("table", { "aria-label": label });
    this.scroll = element("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": label });
    this.scroll.append(this.table);
    this.more = element("button", { type: "button" });
    root.append(element("div", { class: "tools" }, this.search, this.count, this.more), this.scroll);
    this.more.addEventListener("click", () => { this.wide = !this.wide; this.fill(this.all); });
    phone.addEventListener("change", () => this.fill(this.all));
    this.search.addEventListener("input", () => this.filter());
    this.scroll.addEventListener("scroll", () => this.draw(), { passive: true });
    addEventListener("resize", () => this.draw());
    this.table.addEventListener("keydown", (event) => this.step(event));
  }

  /** Takes columns, as at first or when the campaign went on. */
  fill(columns) {
    const { scrollTop, scrollLeft } = this.scroll;
    const focused = this.focused();
    this.all = columns;
    this.columns = columns.filter(({ place }) => (phone.matches ? place === "card" : ["card", "first", this.wide && "more"].includes(place)));
    const rest = columns.filter(({ place }) => place === "more").length;
    this.more.hidden = phone.matches || !rest;
    this.more.textContent = this.wide ? "Fewer columns" : `${rest} more columns`;
    this.high = phone.matches ? CARD : ROW;
    this.length = columns.length ? columns[0].values.length : 0;
    this.texts = null;
    this.root.hidden = this.length === 0;
    const widths = this.columns.map((column) => Math.min(this.width(column), 26));
    const total = widths.reduce((sum, width) => sum + width, 0);
    this.table.replaceChildren(
      element("colgroup", {}, ...widths.map((w) => element("col", { style: `width:${(100 * w) / total}%` }))),
      this.head(), element("tbody"),
    );
    this.table.style.minWidth = phone.matches ? "" : `${total}ch`;
    this.table.setAttribute("aria-rowcount", this.length + 1);
    this.body = this.table.tBodies[0];
    this.filter();
    // The page lost its scroll position while the table was empty.
    this.scroll.scrollTo(scrollLeft, scrollTop);
    this.draw();
    if (focused) this.button(focused)?.focus({ preventScroll: true });
  }

  width({ name, title, form, values }) {
    let longest = title.length + 2;
    if (form === "text") {
      for (const value of values) if (value && value.length > longest) longest = value.length;
      return longest + (name === "kind" ? 6 : 3); // its mark stands before it
    }
    let low = Infinity, high = -Infinity;
    for (const value of values) {
      if (value === null) continue;
      if (value < low) low = value;
      if (value > high) high = value;
    }
    if (low > high) return longest + 2;
    return Math.max(longest, brief(form, low).length, brief(form, high).length) + 3;
  }

  head() {
    const cells = this.columns.map((column) => {
      const button = element("button", { type: "button", title: column.meaning }, column.title);
      button.addEventListener("click", () => this.sort(column.name));
      return element("th", { scope: "col", class: this.classes(column), "data-column": column.name }, button);
    });
    return element("thead", {}, element("tr", { "aria-rowindex": 1 }, ...cells));
  }

  classes({ name, form }) {
    return (["text", "flag"].includes(form) ? "" : "right ") + (name === this.key ? "key" : "");
  }

  sort(name) {
    // Accuracies are sorted downwards at first, everything else upwards.
    const column = this.all.find((each) => each.name === name);
    if (this.sorted === name) this.descending = !this.descending;
    else this.descending = ["fraction", "flag"].includes(column.form);
    this.sorted = name;
    this.arrange();
  }

  filter() {
    this.unread = [];
    const terms = this.search.value.toLowerCase().split(/\s+/).filter(Boolean).map((term) => this.term(term));
    const kept = [];
    for (let row = 0; row < this.length; row++) if (terms.every((holds) => holds(row))) kept.push(row);
    this.kept = kept;
    this.count.textContent = kept.length === this.length
      ? `${written("count", this.length)} rows`
      : `${written("count", kept.length)} of ${written("count", this.length)} rows`;
    if (this.unread.length) this.count.textContent += `; not understood: ${this.unread.join(" ")} (a comparison is macs<1e6 or test>=0.9)`;
    this.arrange();
  }

  /** A word that a row's text must hold, or a column compared with a number: macs<1e6 or macs<1m. */
  term(text) {
    const [, name, sign, number, unit] = text.match(/^(\w+)(<=|>=|<|>|=)(-?[\d.]+(?:e[+-]?\d+)?)([kmg]?)$/) ?? [];
    const column = name && this.all.find((each) => each.name === name || each.title.toLowerCase() === name);
    if (column) {
      const bound = Number(number) * { "": 1, k: 1e3, m: 1e6, g: 1e9 }[unit], { values } = column;
      const holds = {
        "<": (v) => v < bound, ">": (v) => v > bound, "<=": (v) => v <= bound,
        ">=": (v) => v >= bound, "=": (v) => v === bound,
      }[sign];
      return (row) => values[row] !== null && holds(values[row]);
    }
    if (/[<>=]/.test(text)) {
      this.unread.push(text);
      return () => true;
    }
    this.texts ??= this.allTexts();
    return (row) => this.texts[row].includes(text);
  }

  allTexts() {
    const texts = new Array(this.length).fill("");
    for (const { form, values } of this.all) {
      if (form !== "text") continue;
      for (let row = 0; row < this.length; row++) if (values[row] !== null) texts[row] += ` ${values[row].toLowerCase()}`;
    }
    return texts;
  }

  arrange() {
    this.order = this.kept.slice();
    const column = this.all.find((each) => each.name === this.sorted);
    if (column) {
      const { values } = column, way = this.descending ? -1 : 1;
      this.order.sort((one, other) => {
        const a = values[one], b = values[other];
        if (a === b) return one - other;
        if (a === null) return 1;
        if (b === null) return -1;
        return a < b ? -way : way;
      });
    }
    for (const cell of this.table.tHead?.rows[0].cells ?? []) {
      const here = cell.dataset.column === this.sorted;
      if (here) cell.setAttribute("aria-sort", this.descending ? "descending" : "ascending");
      else cell.removeAttribute("aria-sort");
      const button = cell.firstChild, { title } = this.columns[cell.cellIndex];
      button.textContent = here ? `${title} ${this.descending ? "↓" : "↑"}` : title;
    }
    this.from = -1;
    this.draw();
  }

  /** Renders the rows in view, with some to spare, between two spaces as high as the rest. */
  draw(whole = false) {
    if (!this.body) return;
    const all = this.order.length;
    let from = 0, to = all;
    if (!whole && all > SHORT) {
      const top = Math.floor(this.scroll.scrollTop / this.high);
      from = Math.max(0, Math.min(top, all) - SPARE);
      to = Math.min(all, top + Math.ceil(this.scroll.clientHeight / this.high) + SPARE);
      const near = Math.abs(from - this.from) < SPARE / 2 && Math.abs(to - this.to) < SPARE / 2;
      if (this.from >= 0 && near && from > 0 && to < all) return;
    }
    if (from === this.from && to === this.to) return;
    const focused = this.focused();
    const rows = [];
    if (from) rows.push(this.space(from));
    for (let position = from; position < to; position++) rows.push(this.row(position));
    if (to < all) rows.push(this.space(all - to));
    this.body.replaceChildren(...rows);
    this.from = from;
    this.to = to;
    if (focused) this.button(focused)?.focus({ preventScroll: true });
  }

  space(rows) {
    const cell = element("td", { colspan: this.columns.length, style: `height:${rows * this.high}px` });
    return element("tr", { class: "space", "aria-hidden": "true" }, cell);
  }

  row(position) {
    const row = this.order[position];
    const cells = this.columns.map((column) => {
      const value = column.values[row], text = brief(column.form, value);
      const kind = column.name === "kind" ? ` kind ${text}` : "";
      const exact = written(column.form, value), title = exact !== text || text.length > 28 ? exact : null;
      const attributes = { class: this.classes(column) + kind, title, "data-title": column.title };
      const cell = element(column.name === this.key ? "th" : "td", attributes);
      if (column.name !== this.key) {
        cell.textContent = text;
        return cell;
      }
      cell.scope = "row";
      cell.style.fontWeight = "400";
      cell.append(this.opener(text));
      return cell;
    });
    return element("tr", { "data-position": position, "aria-rowindex": position + 2 }, ...cells);
  }

  opener(name) {
    if (this.href) {
      const href = this.href(name);
      return href ? element("a", { href }, name) : element("span", {}, name);
    }
    const button = element("button", { type: "button" }, name);
    button.addEventListener("click", () => this.open(name));
    return button;
  }

  /** The position of the row that has the keyboard; undefined: none has. */
  focused() {
    return this.body?.contains(document.activeElement)
      ? document.activeElement.closest("tr").dataset.position : undefined;
  }

  button(position) {
    return this.body.querySelector(`tr[data-position="${position}"] .key :is(button, a)`);
  }

  /** The arrow keys go from row to row. */
  step(event) {
    const way = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    const at = event.target.closest("tr")?.dataset.position;
    if (!way || at === undefined) return;
    const next = Number(at) + way;
    if (next < 0 || next >= this.order.length) return;
    event.preventDefault();
    const top = next * this.high, { scrollTop, clientHeight } = this.scroll;
    if (top < scrollTop) this.scroll.scrollTop = top;
    if (top + 2 * this.high > scrollTop + clientHeight) this.scroll.scrollTop = top + 3 * this.high - clientHeight;
    this.draw();
    this.button(next)?.focus({ preventScroll: true });
  }
}
