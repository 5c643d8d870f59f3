// Draws points and lines on a canvas; pointer and arrow keys select them.
const MARGIN = { left: 64, right: 16, top: 12, bottom: 44 };

class Plot {
  /**
   * describe(): {x: {title, log, compact}, y: {title, bounds}, points, lines}; bounds are what is possible. A point has x, y, kind, size, text and
   * what to open; where it has low and high, they are an interval of y. A line has xs, ys, kind, steps, dash.
   * picture(what to open): elements that the tip shows below the text.
   */
  constructor(figure, { label, describe, open, picture }) {
    Object.assign(this, { describe, open, picture, at: -1 });
    this.canvas = element("canvas", { tabindex: "0", role: "img", "aria-label": label });
    this.canvas.setAttribute("aria-roledescription", "interactive plot");
    figure.append(this.canvas);
    this.legend = element("div", { class: "legend" });
    figure.append(this.legend);
    this.tip = document.getElementById("tip");
    this.canvas.addEventListener("pointermove", (event) => this.hover(event));
    this.canvas.addEventListener("pointerleave", () => this.choose(-1));
    this.canvas.addEventListener("click", (event) => { this.hover(event); this.enter(); });
    this.canvas.addEventListener("keydown", (event) => this.key(event));
    this.canvas.addEventListener("blur", () => this.choose(-1));
    new ResizeObserver(() => this.draw()).observe(this.canvas);
  }

  refresh() {
    this.shown = this.describe();
    this.at = -1;
    const { points, lines } = this.shown;
    this.asked = points.slice();
    for (const line of lines) {
      for (let i = 0; i < (line.texts ? line.xs.length : 0); i++) {
        this.asked.push({ x: line.xs[i], y: line.ys[i], text: line.texts[i], opens: line.opens?.[i], kind: line.kind });
      }
    }
    this.asked.sort((a, b) => a.x - b.x || a.y - b.y);
    const kinds = [...new Set([...points, ...lines].map((each) => each.kind))].filter(Boolean);
    this.legend.replaceChildren(...kinds.map((kind) => element("span", { class: `kind ${kind}` }, this.shown.names?.[kind] ?? kind)));
    this.limits();
    this.draw();
  }

  limits() {
    const { x, points, lines } = this.shown;
    const range = (pick) => {
      let low = Infinity, high = -Infinity;
      const see = (value) => {
        if (value < low) low = value;
        if (value > high) high = value;
      };
      pick(see);
      return [low, high];
    };
    const xs = range((see) => { points.forEach((p) => see(p.x)); lines.forEach((l) => l.xs.forEach(see)); });
    const ys = range((see) => {
      points.forEach((p) => { see(p.low ?? p.y); see(p.high ?? p.y); });
      lines.forEach((l) => l.ys.forEach(see));
    });
    this.empty = !(xs[0] <= xs[1] && ys[0] <= ys[1]);
    if (this.empty) return;
    this.log = Boolean(x.log && xs[0] > 0);
    const wide = ([low, high]) => {
      const pad = (high - low) * 0.05 || Math.abs(high) * 0.05 || 1;
      return [low - pad, high + pad];
    };
    if (this.log) {
      const [low, high] = wide(xs.map(Math.log10));
      this.xs = [10 ** low, 10 ** high];
    } else this.xs = x.zero ? [0, xs[1] * 1.02 || 1] : wide(xs);
    const [least, most] = this.shown.y.bounds ?? [null, null], [bottom, top] = wide(ys);
    this.ys = [Math.max(bottom, least ?? bottom), Math.min(top, most ?? top)];
  }

  place() {
    const { clientWidth: width, clientHeight: height } = this.canvas;
    const scale = (value) => (this.log ? Math.log10(value) : value);
    const [x0, x1] = this.xs.map(scale), [y0, y1] = this.ys;
    this.px = (x) => MARGIN.left + ((scale(x) - x0) / (x1 - x0)) * (width - MARGIN.left - MARGIN.right);
    this.py = (y) => height - MARGIN.bottom - ((y - y0) / (y1 - y0)) * (height - MARGIN.top - MARGIN.bottom);
    return { width, height };
  }

  draw() {
    if (!this.shown) return;
    const { canvas } = this, pen = canvas.getContext("2d"), density = devicePixelRatio || 1;
    canvas.width = Math.round(canvas.clientWidth * density);
    canvas.height = Math.round(canvas.clientHeight * density);
    pen.setTransform(density, 0, 0, density, 0, 0);
    pen.font = `12px ${getComputedStyle(document.body).fontFamily}`;
    const colours = Object.fromEntries(["ink", "muted", "line", "page", "searched", "random", "classic", "ensemble"].map((c) => [c, ink(c)]));
    if (this.empty) {
      pen.fillStyle = colours.muted;
      pen.fillText("There is nothing to draw yet.", MARGIN.left, 40);
      return;
    }
    const { width, height } = this.place();
    this.axes(pen, colours, width, height);
    for (const line of this.shown.lines) this.line(pen, line, colours);
    for (const point of this.shown.points) this.point(pen, point, colours);
    this.labels(pen, colours, width);
    const chosen = this.asked[this.at];
    if (chosen) {
      pen.strokeStyle = colours.ink;
      pen.lineWidth = 2;
      pen.beginPath();
      pen.arc(this.px(chosen.x), this.py(chosen.y), 9, 0, 7);
      pen.stroke();
    }
  }

  axes(pen, { muted, line }, width, height) {
    const { x, y } = this.shown;
    Object.assign(pen, { strokeStyle: line, fillStyle: muted, lineWidth: 1, textAlign: "right", textBaseline: "middle" });
    const marks = ticks(...this.ys, false), places = Math.max(0, Math.ceil(-Math.log10(marks[1] - marks[0] || 1) - 1e-9));
    for (const value of marks) {
      const at = Math.round(this.py(value)) + 0.5;
      pen.beginPath();
      pen.moveTo(MARGIN.left, at);
      pen.lineTo(width - MARGIN.right, at);
      pen.stroke();
      pen.fillText(value.toFixed(Math.min(places, 9)), MARGIN.left - 8, at);
    }
    Object.assign(pen, { textAlign: "center", textBaseline: "top" });
    let last = -Infinity;
    for (const value of ticks(...this.xs, this.log)) {
      const at = Math.round(this.px(value)) + 0.5, bottom = height - MARGIN.bottom;
      if (x.whole && value % 1) continue;
      pen.beginPath();
      pen.moveTo(at, bottom);
      pen.lineTo(at, bottom + 4);
      pen.stroke();
      if (at - last < 44) continue;
      pen.fillText((x.compact ? short : plain).format(value), at, bottom + 7);
      last = at;
    }
    pen.textBaseline = "bottom";
    pen.fillText(x.title + (this.log ? ", log scale" : ""), (MARGIN.left + width - MARGIN.right) / 2, height - 2);
    pen.save();
    pen.translate(13, (MARGIN.top + height - MARGIN.bottom) / 2);
    pen.rotate(-Math.PI / 2);
    pen.textBaseline = "middle";
    pen.fillText(y.title, 0, 0);
    pen.restore();
  }

  line(pen, { xs, ys, kind, steps, faint, dash }, colours) {
    pen.strokeStyle = colours[kind] ?? colours.muted;
    pen.lineWidth = faint ? 1.2 : 2;
    pen.setLineDash(dash ?? []);
    pen.beginPath();
    xs.forEach((x, i) => {
      if (steps && i) pen.lineTo(this.px(x), this.py(ys[i - 1]));
      pen.lineTo(this.px(x), this.py(ys[i]));
    });
    pen.stroke();
    pen.setLineDash([]);
  }

  point(pen, { x, y, kind, size, low, high }, colours) {
    const px = this.px(x), py = this.py(y);
    pen.fillStyle = pen.strokeStyle = colours[kind] ?? colours.muted;
    pen.globalAlpha = size < 4 ? 0.55 : 1;
    if (low !== undefined) {
      pen.lineWidth = 1.2;
      pen.beginPath();
      pen.moveTo(px, this.py(low));
      pen.lineTo(px, this.py(high));
      pen.stroke();
    }
    pen.beginPath();
    if (kind === "classic") pen.rect(px - size, py - size, 2 * size, 2 * size);
    else if (kind === "random") {
      pen.moveTo(px, py - size * 1.2);
      pen.lineTo(px + size * 1.15, py + size * 0.9);
      pen.lineTo(px - size * 1.15, py + size * 0.9);
    } else pen.arc(px, py, size, 0, 7);
    pen.fill();
    pen.globalAlpha = 1;
  }

  /** The names of points that have one, where nothing else is written. */
  labels(pen, { ink: colour, page }, width) {
    const taken = [];
    Object.assign(pen, { fillStyle: colour, strokeStyle: page, lineWidth: 4, lineJoin: "round", textBaseline: "middle" });
    for (const { x, y, label } of this.shown.points) {
      if (!label) continue;
      const size = pen.measureText(label).width, right = this.px(x) + 12 + size < width;
      const left = right ? this.px(x) + 10 : this.px(x) - 10 - size;
      const at = this.py(y);
      const free = [0, -14, 14].find((by) => !taken.some((box) => Math.abs(box.y - at - by) < 14 && left < box.right && left + size > box.left));
      if (free === undefined) continue;
      taken.push({ y: at + free, left, right: left + size });
      pen.textAlign = "left";
      pen.strokeText(label, left, at + free);  // the outline keeps it readable above lines
      pen.fillText(label, left, at + free);
    }
  }

  hover(event) {
    if (this.empty || !this.px) return;
    const box = this.canvas.getBoundingClientRect();
    const x = event.clientX - box.left, y = event.clientY - box.top;
    let best = -1, least = 24 ** 2;
    this.asked.forEach((point, index) => {
      const apart = (this.px(point.x) - x) ** 2 + (this.py(point.y) - y) ** 2;
      if (apart < least) [best, least] = [index, apart];
    });
    this.choose(best);
  }

  choose(index) {
    if (index === this.at) return;
    this.at = index;
    this.draw();
    const chosen = this.asked?.[index];
    this.tip.hidden = !chosen;
    this.canvas.style.cursor = chosen?.opens ? "pointer" : "default";
    if (!chosen) return;
    this.tip.replaceChildren(chosen.text, ...(this.picture?.(chosen.opens) ?? []));
    const box = this.canvas.getBoundingClientRect(), { offsetWidth, offsetHeight } = this.tip;
    const x = box.left + this.px(chosen.x), y = box.top + this.py(chosen.y);
    const left = x + 14 + offsetWidth > innerWidth ? Math.max(4, x - 14 - offsetWidth) : x + 14;
    this.tip.style.left = `${left}px`;
    this.tip.style.top = `${Math.min(Math.max(4, y + 10), innerHeight - offsetHeight - 4)}px`;
  }

  key(event) {
    const last = (this.asked?.length ?? 0) - 1;
    const next = { ArrowRight: Math.min(this.at + 1, last), ArrowLeft: Math.max(this.at - 1, 0), Home: 0, End: last }[event.key];
    if (next !== undefined) {
      event.preventDefault();
      this.choose(next);
    } else if (event.key === "Enter") this.enter();
    else if (event.key === "Escape") this.choose(-1);
  }

  enter() {
    const chosen = this.asked?.[this.at];
    if (chosen?.opens) this.open(chosen.opens);
  }
}
