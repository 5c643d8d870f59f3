// Draws points and lines on a canvas; pointer and arrow keys select them.
const HUES = ["searched", "random", "classic", "ensemble", "hue0", "hue1", "hue2", "hue3", "hue4", "hue5"];
const MARGIN = { left: 64, right: 16, top: 12, bottom: 44 };

const overlaps = (boxes, box) => boxes.some((each) => (
  each.left < box.right && box.left < each.right && each.top < box.bottom && box.top < each.bottom
));

class Plot {
  /**
   * describe(): {x: {title, log, compact}, y: {title, bounds, range}, points, lines, limits}; bounds are what is
   * possible, range is what is shown: an arrow stands for a point beyond it. A point has x, y, kind, size, text and
   * what to open; where it has low and high, they are an interval of y. A line has xs, ys, kind, steps, dash; where it
   * has lows and highs, they are a band, and its name stands at its end. A limit has a text and x or y.
   * picture(what to open): elements that the tip shows below the text.
   */
  /**
   * @param {Element} figure
   * @param {{label: string, describe: () => any, open: (name: string) => void,
   *   picture?: (name: string) => Element[], hues?: Record<string, string>}} options hues: names of further colours.
   */
  constructor(figure, { label, describe, open, picture, hues = {} }) {
    this.describe = describe;
    this.open = open;
    this.picture = picture;
    this.hues = hues;
    this.at = -1;
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
    this.legend.replaceChildren(...[...Object.keys(this.hues), ...kinds].map((kind) => element("span", { class: `kind ${kind}` }, this.hues[kind] ?? this.shown.names?.[kind] ?? kind)));
    this.limits();
    this.draw();
  }

  limits() {
    const { x, y, points, lines, limits = [] } = this.shown;
    /** @returns {[number, number]} */
    const range = (pick) => {
      let low = Infinity, high = -Infinity;
      const see = (value) => {
        if (value < low) low = value;
        if (value > high) high = value;
      };
      pick(see);
      return [low, high];
    };
    const xs = range((see) => { points.forEach((p) => see(p.x)); lines.forEach((l) => l.xs.forEach(see)); limits.forEach((l) => l.x && see(l.x)); });
    const ys = range((see) => {
      points.forEach((p) => { see(p.low ?? p.y); see(p.high ?? p.y); });
      lines.forEach((l) => [l.ys, l.lows ?? [], l.highs ?? []].forEach((values) => values.forEach(see)));
      limits.forEach((l) => l.y && see(l.y));
    });
    this.empty = !(xs[0] <= xs[1] && ys[0] <= ys[1]);
    if (this.empty) return;
    this.log = Boolean(x.log && xs[0] > 0);
    /** @returns {[number, number]} */
    const wide = ([low, high]) => {
      const pad = (high - low) * 0.05 || Math.abs(high) * 0.05 || 1;
      return [low - pad, high + pad];
    };
    if (this.log) {
      const [low, high] = wide([Math.log10(xs[0]), Math.log10(xs[1])]);
      this.xs = [10 ** low, 10 ** high];
    } else this.xs = x.zero ? [0, xs[1] * 1.02 || 1] : wide(xs);
    const [least, most] = y.bounds ?? [null, null], [bottom, top] = wide(y.range ?? ys);
    this.ys = [Math.max(bottom, least ?? bottom), Math.min(top, most ?? top)];
  }

  place(pen) {
    const { clientWidth, clientHeight } = this.canvas, scale = (value) => (this.log ? Math.log10(value) : value);
    const names = Math.max(0, ...this.shown.lines.map(({ name }) => (name ? pen.measureText(name).width + 22 : 0)));
    const frame = this.frame = {
      left: MARGIN.left, right: clientWidth - Math.max(MARGIN.right, Math.min(names, clientWidth * 0.4)),
      top: MARGIN.top, bottom: clientHeight - MARGIN.bottom,
    };
    const [x0, x1] = this.xs.map(scale), [y0, y1] = this.ys;
    this.px = (x) => frame.left + ((scale(x) - x0) / (x1 - x0)) * (frame.right - frame.left);
    this.rawY = (y) => frame.bottom - ((y - y0) / (y1 - y0)) * (frame.bottom - frame.top);
    this.py = (y) => Math.min(frame.bottom, Math.max(frame.top, this.rawY(y)));
  }

  draw() {
    if (!this.shown) return;
    const { canvas } = this, pen = canvas.getContext("2d"), density = devicePixelRatio || 1;
    canvas.width = Math.round(canvas.clientWidth * density);
    canvas.height = Math.round(canvas.clientHeight * density);
    pen.setTransform(density, 0, 0, density, 0, 0);
    pen.font = `12px ${getComputedStyle(document.body).fontFamily}`;
    /** @type {any} */
    const colours = Object.fromEntries(["ink", "muted", "line", "page", ...HUES].map((c) => [c, ink(c)]));
    if (this.empty) {
      pen.fillStyle = colours.muted;
      pen.fillText("There is nothing to draw yet.", MARGIN.left, 40);
      return;
    }
    this.place(pen);
    const { left, right, top, bottom } = this.frame;
    this.axes(pen, colours, canvas.clientHeight);
    pen.save();
    pen.beginPath();
    pen.rect(left - 2, top - 2, right - left + 4, bottom - top + 4);
    pen.clip();
    for (const line of this.shown.lines) this.line(pen, line, colours);
    pen.restore();
    for (const point of this.shown.points) this.point(pen, point, colours);
    this.ends(pen, colours);
    const marks = this.marks();
    this.labels(pen, colours, marks, this.limitLines(pen, colours, marks));
    const chosen = this.asked[this.at];
    if (chosen) {
      pen.strokeStyle = colours.ink;
      pen.lineWidth = 2;
      pen.beginPath();
      pen.arc(this.px(chosen.x), this.py(chosen.y), 9, 0, 7);
      pen.stroke();
    }
  }

  axes(pen, { muted, line }, height) {
    const { x, y } = this.shown, { left, right, top, bottom } = this.frame;
    Object.assign(pen, { strokeStyle: line, fillStyle: muted, lineWidth: 1, textAlign: "right", textBaseline: "middle" });
    const marks = ticks(...this.ys, false), places = Math.max(0, Math.ceil(-Math.log10(marks[1] - marks[0] || 1) - 1e-9));
    for (const value of marks) {
      const at = Math.round(this.py(value)) + 0.5;
      pen.beginPath();
      pen.moveTo(left, at);
      pen.lineTo(right, at);
      pen.stroke();
      pen.fillText(value.toFixed(Math.min(places, 9)), left - 8, at);
    }
    Object.assign(pen, { textAlign: "center", textBaseline: "top" });
    let last = -Infinity;
    for (const value of ticks(...this.xs, this.log)) {
      const at = Math.round(this.px(value)) + 0.5;
      if (x.whole && value % 1) continue;
      pen.beginPath();
      pen.moveTo(at, bottom);
      pen.lineTo(at, bottom + 4);
      pen.stroke();
      if (at - last < 44) continue;
      pen.fillText(x.compact ? compact(value) : plain.format(value), at, bottom + 7);
      last = at;
    }
    pen.textBaseline = "bottom";
    pen.fillText(x.title + (this.log ? ", log scale" : ""), (left + right) / 2, height - 2);
    pen.save();
    pen.translate(13, (top + bottom) / 2);
    pen.rotate(-Math.PI / 2);
    pen.textBaseline = "middle";
    pen.fillText(y.title, 0, 0);
    pen.restore();
  }

  line(pen, { xs, ys, lows, highs, kind, colour = kind, steps, faint, dash }, colours) {
    pen.strokeStyle = pen.fillStyle = colours[colour] ?? colours.muted;
    if (lows) {
      pen.globalAlpha = 0.12;
      pen.beginPath();
      xs.forEach((x, i) => pen.lineTo(this.px(x), this.rawY(highs[i])));
      for (let i = xs.length - 1; i >= 0; i--) pen.lineTo(this.px(xs[i]), this.rawY(lows[i]));
      pen.fill();
      pen.globalAlpha = 1;
    }
    pen.lineWidth = faint ? 1.2 : 2;
    pen.setLineDash(dash ?? []);
    pen.beginPath();
    xs.forEach((x, i) => {
      if (steps && i) pen.lineTo(this.px(x), this.rawY(ys[i - 1]));
      pen.lineTo(this.px(x), this.rawY(ys[i]));
    });
    pen.stroke();
    pen.setLineDash([]);
  }

  point(pen, { x, y, kind, colour = kind, size, low, high }, colours) {
    const px = this.px(x), py = this.py(y), beyond = this.beyond(y);
    pen.fillStyle = pen.strokeStyle = colours[colour] ?? colours.muted;
    pen.globalAlpha = size < 4 ? 0.55 : 1;
    if (low !== undefined) {
      pen.lineWidth = 1.2;
      pen.beginPath();
      pen.moveTo(px, this.py(low));
      pen.lineTo(px, this.py(high));
      pen.stroke();
    }
    pen.beginPath();
    if (beyond) {
      pen.moveTo(px, py + beyond * (size + 3));
      pen.lineTo(px - size, py - beyond * 3);
      pen.lineTo(px + size, py - beyond * 3);
    } else if (kind === "classic") pen.rect(px - size, py - size, 2 * size, 2 * size);
    else if (kind === "random") {
      pen.moveTo(px, py - size * 1.2);
      pen.lineTo(px + size * 1.15, py + size * 0.9);
      pen.lineTo(px - size * 1.15, py + size * 0.9);
    } else pen.arc(px, py, size, 0, 7);
    pen.fill();
    pen.globalAlpha = 1;
  }

  /** 1 below the axis, -1 above it, or 0. */
  beyond(y) { return y < this.ys[0] ? 1 : y > this.ys[1] ? -1 : 0; }

  /** Where the marks of points are, unless there are too many to write between them. */
  marks() {
    const { points } = this.shown;
    return points.length > 300 ? [] : points.map(({ x, y, size }) => (
      { left: this.px(x) - size, right: this.px(x) + size, top: this.py(y) - size, bottom: this.py(y) + size }
    ));
  }

  /** Lines at what is allowed at most; returns where their texts stand. */
  limitLines(pen, { ink: colour }, marks) {
    const { left, right, top, bottom } = this.frame, taken = [];
    Object.assign(pen, { strokeStyle: colour, fillStyle: colour, lineWidth: 1, textAlign: "right", textBaseline: "bottom" });
    pen.setLineDash([2, 3]);
    for (const { x, y, text } of this.shown.limits ?? []) {
      const [px, py] = [x ? this.px(x) : right, y ? this.py(y) : bottom];
      pen.beginPath();
      pen.moveTo(x ? px : left, x ? top : py);
      pen.lineTo(px, py);
      pen.stroke();
      const spots = [0, 0.25, 0.5, 0.75].map((up) => py - 4 - (x ? up * (bottom - top) : 0))
        .map((at) => ({ left: px - 5 - pen.measureText(text).width, right: px, top: at - 14, bottom: at }));
      const free = spots.find((box) => !overlaps(marks, box)) ?? spots[0];
      pen.fillText(text, px - 5, free.bottom);
      taken.push(free);
    }
    pen.setLineDash([]);
    return taken;
  }

  /** The names of lines to the right of their ends, one below the other. */
  ends(pen, colours) {
    const named = this.shown.lines.filter(({ name }) => name).map(({ name, xs, ys, kind, colour = kind }) => (
      { name, colour, x: this.px(xs.at(-1)), y: this.py(ys.at(-1)) }
    )).sort((a, b) => a.y - b.y);
    named.forEach((each, i) => { each.at = Math.max(each.y, i ? named[i - 1].at + 14 : 0); });
    let most = this.frame.bottom;
    for (const each of named.reverse()) {
      each.at = Math.min(each.at, most);
      most = each.at - 14;
    }
    Object.assign(pen, { textAlign: "left", textBaseline: "middle", lineWidth: 1, strokeStyle: colours.line });
    for (const { name, colour, x, y, at } of named) {
      pen.beginPath();
      pen.moveTo(x + 3, y);
      pen.lineTo(this.frame.right + 14, at);
      pen.stroke();
      pen.fillStyle = colours[colour] ?? colours.muted;
      pen.fillText(name, this.frame.right + 18, at, this.canvas.clientWidth - this.frame.right - 20);
    }
  }

  /** The names of points that have one, in the frame, where nothing else stands. */
  labels(pen, { ink: colour, page }, marks, taken) {
    const { points } = this.shown, frame = this.frame;
    Object.assign(pen, { fillStyle: colour, strokeStyle: page, lineWidth: 4, lineJoin: "round", textBaseline: "middle", textAlign: "left" });
    for (const { x, y, label } of points) {
      if (!label) continue;
      const text = this.beyond(y) ? `${label} ${plain.format(y)}` : label;
      const px = this.px(x), py = this.py(y), wide = pen.measureText(text).width, spots = [];
      for (const far of [9, 18, 30]) {
        for (const [right, down] of [[1, 0], [-1, 0], [0, -1], [0, 1], [1, -1], [-1, -1], [1, 1], [-1, 1]]) {
          const left = px + right * far - (1 - right) * wide / 2, at = py + down * Math.max(far, 13);
          spots.push({ left, right: left + wide, top: at - 7, bottom: at + 7, at });
        }
      }
      const inside = spots.filter((box) => box.left > frame.left && box.right < frame.right && box.top >= 0 && box.bottom < frame.bottom && !overlaps(taken, box));
      const free = inside.find((box) => !overlaps(marks, box)) ?? inside[0];
      if (!free) continue;
      taken.push(free);
      pen.strokeText(text, free.left, free.at);  // the outline keeps it readable above lines
      pen.fillText(text, free.left, free.at);
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
