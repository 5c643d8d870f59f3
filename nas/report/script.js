// Fills the page of a campaign, or of several, from its data.
const values = (columns, name) => columns.find((column) => column.name === name)?.values;

/** What is known of a row: title and text by column. */
function facts(columns, key, name) {
  const at = values(columns, key)?.indexOf(name) ?? -1;
  if (at < 0) return [];
  return columns
    .map((column) => ({ name: column.name, title: column.title, text: written(column.form, column.values[at]) }))
    .filter((fact) => fact.text && fact.name !== key);
}

const told = (known) => known.filter(({ name }) => data.metrics.short.includes(name)).map(({ title, text }) => `${title} ${text}`).join("\n");

/** Of a trial, the row of the results that it belongs to. */
const rowOf = (trial) => data.labels[trial] ?? trial;

/** SVG of a row's cells and network, made by the program itself. */
function pictures(row) {
  const { cells, network } = data.drawings[row] ?? {};
  return [cells, network].filter(Boolean);
}

/** What a tip shows of a network: its cells, or else the whole of it, small. */
function thumbnail(name) {
  const [picture] = pictures(rowOf(name));
  if (!picture) return [];
  const thumb = element("div", { class: "thumb" });
  thumb.innerHTML = picture;
  return [thumb];
}

/** A drawing of a row's network or cells; the boxes of a network open. */
function drawn(row, picture) {
  const attributes = { class: "drawing", tabindex: "0", role: "group", "aria-label": `Drawing of ${row}`, "data-network": row };
  const drawing = element("div", attributes);
  drawing.innerHTML = picture;
  return drawing;
}

const FACTS = ["node", "operation", "shape", "params", "MACs", "receptive field"];

/** Lists the nodes of a box below its drawing. */
function openNodes(event) {
  const box = event.target.closest?.("[data-nodes]"), drawing = box?.closest("[data-network]");
  if (!drawing || (event.type === "keydown" && !["Enter", " "].includes(event.key))) return;
  event.preventDefault();
  const { nodes, kernels } = data.drawings[drawing.dataset.network];
  const rows = box.dataset.nodes.split(" ").filter((name) => nodes[name]).map((name) => element("tr", {},
    element("th", { scope: "row" }, name, ...[kernels?.[name]].filter(Boolean).map((src) => element("img", { src, alt: `kernels of ${name}; grey is zero` }))),
    ...nodes[name].map((text) => element("td", {}, text))));
  const head = element("tr", {}, ...FACTS.map((text) => element("th", { scope: "col" }, text)));
  const list = element("div", { class: "nodes scroll", tabindex: "0", role: "region", "aria-live": "polite", "aria-label": "Nodes of the box" },
    element("table", { class: "plain" }, element("thead", {}, head), element("tbody", {}, ...rows)));
  if (drawing.nextElementSibling?.classList.contains("nodes")) drawing.nextElementSibling.remove();
  drawing.after(list);
}
for (const kind of ["click", "keydown"]) document.addEventListener(kind, openNodes);

function curveOf(trials) {
  const figure = element("figure", {}, element("figcaption", {}, trials.length > 1 ? "Learning curves, one per seed" : "Learning curve"));
  const plot = new Plot(figure, { label: `${data.metrics.words} by epoch`, describe: () => curvesOf(trials), open() {} });
  plot.refresh();
  return figure;
}

/** The names of the campaigns on this page, if it has several. */
const several = values(data.campaigns ?? [], "name") ?? [];
document.body.classList.toggle("several", several.length > 0);

/** Of several campaigns, each has a colour of its own, as long as there are colours. */
const hue = (campaign) => (several.length ? { colour: `hue${several.indexOf(campaign) % 6}` } : {});
const hues = Object.fromEntries(several.slice(0, 6).map((name, at) => [`hue${at}`, name]));

/** The primary metric on validation images by epoch, of some trials. */
function curvesOf(trials) {
  const names = values(data.trials, "trial"), kinds = values(data.trials, "kind");
  const lines = trials.map((name) => {
    const [xs, ys] = data.curves[name], kind = kinds[names.indexOf(name)];
    const texts = xs.map((epoch, at) => `${name}\nepoch ${epoch}: ${written(data.metrics.form, ys[at])}`);
    return { xs, ys, kind, faint: true, texts, opens: xs.map(() => name), dash: kind === "random" ? [6, 3] : [] };
  });
  return { x: { title: "epoch", whole: true }, y: { title: data.metrics.words, bounds: data.metrics.bounds }, points: [], lines, names: KINDS };
}

/** The mean and the range over seeds by epoch, of each network of the final stage. */
function networkCurves() {
  const seeds = {};
  for (const trial of Object.keys(data.curves)) if (trial in data.labels) (seeds[data.labels[trial]] ??= []).push(trial);
  const names = values(data.trials, "trial"), kinds = values(data.trials, "kind"), homes = values(data.trials, "campaign");
  const lines = Object.entries(seeds).map(([name, trials]) => {
    const by = new Map();
    for (const trial of trials) data.curves[trial][0].forEach((epoch, i) => by.set(epoch, [...by.get(epoch) ?? [], data.curves[trial][1][i]]));
    const xs = [...by.keys()].sort((a, b) => a - b), each = xs.map((epoch) => by.get(epoch));
    const ys = each.map((all) => all.reduce((sum, value) => sum + value, 0) / all.length);
    const lows = each.map((all) => Math.min(...all)), highs = each.map((all) => Math.max(...all));
    const say = (value) => written(data.metrics.form, value), at = names.indexOf(trials[0]), kind = kinds[at];
    const texts = xs.map((epoch, i) => `${name}\nepoch ${epoch}: ${say(ys[i])}, from ${say(lows[i])} to ${say(highs[i])}, ${each[i].length} seed${each[i].length > 1 ? "s" : ""}`);
    return { xs, ys, lows, highs, kind, ...hue(homes?.[at]), name, texts, faint: true, opens: xs.map(() => name), dash: kind === "random" ? [6, 3] : [] };
  });
  return { x: { title: "epoch", whole: true }, y: { title: data.metrics.words, bounds: data.metrics.bounds }, points: [], lines, names: KINDS };
}

function openRow(name) {
  const row = rowOf(name);
  const known = facts(data.rows, "name", name);
  const shown = known.length ? known : facts(data.trials, "trial", name);
  document.getElementById("row-title").textContent = name;
  const list = element("div", { class: "facts" });
  for (const { title, text } of shown) list.append(element("div", {}, element("span", { class: "sure" }, title), element("span", {}, text)));
  const body = document.getElementById("row-body");
  body.replaceChildren(list);
  const trials = Object.keys(data.curves).filter((trial) => trial === name || (trial !== row && rowOf(trial) === name));
  if (trials.length) body.append(curveOf(trials));
  body.append(...pictures(row).map((picture) => drawn(row, picture)));
  const { parent, before, after } = data.drawings[row] ?? {};
  if (parent) {
    const pair = element("div", { class: "pair" }, drawn(parent, before), drawn(row, after));
    body.append(element("details", {}, element("summary", {}, `Beside its parent, ${parent}`), pair));
  }
  if (!pictures(row).length) body.append(element("p", { class: "lead" }, "The network is not drawn here:"), element("pre", {}, `nas show ${data.folder}:${name}`));
  if (data.genotypes[row]) {
    body.append(element("details", {}, element("summary", {}, "Genotype"), element("pre", {}, JSON.stringify(data.genotypes[row], null, 1))));
  }
  /** @type {HTMLDialogElement} */ (document.getElementById("row")).showModal();
}

const { costs: COSTS, scores: SCORES } = data.metrics;

function chooser(figure, label, options, refresh) {
  const select = element("select");
  figure.append(element("label", {}, label, select));
  select.replaceChildren(...Object.entries(options).map(([value, text]) => element("option", { value }, text)));
  select.addEventListener("change", refresh);
  return {
    get value() { return select.value; },
    set(name) { select.value = name; refresh(); },
    offer(names) {
      const before = select.value;
      select.replaceChildren(...names.map((name) => element("option", { value: name }, options[name])));
      if (names.includes(before)) select.value = before;
    },
  };
}

const figures = Object.fromEntries(all("[data-plot]").map((each) => [each.dataset.plot, each]));
const cost = chooser(figures.tradeoff, "Cost", COSTS, () => tradeoff.refresh());
const score = chooser(figures.tradeoff, " Value", SCORES, () => tradeoff.refresh());
const RANGES = { typical: "without outliers", better: "the better half", all: "everything" };
const range = chooser(figures.tradeoff, " Show", RANGES, () => tradeoff.refresh());

/** The values to show: all but those beyond Tukey's outer fences, the better half, or everything. */
function rangeOf(points) {
  const found = fenced(points.map(({ y }) => y));
  if (!found) return undefined;
  const inside = points.filter(({ y }) => y >= found[0] && y <= found[1]);
  return [Math.min(...inside.map(({ y, low }) => low ?? y)), Math.max(...inside.map(({ y, high }) => high ?? y))];
}

function fenced(ys) {
  const sorted = ys.slice().sort((a, b) => a - b), at = (share) => sorted[Math.round(share * (sorted.length - 1))];
  if (range.value === "all" || sorted.length < 4) return undefined;
  if (range.value === "better") return data.metrics.maximize ? [at(0.5), at(1)] : [at(0), at(0.5)];
  const low = at(0.25), high = at(0.75), fence = 3 * (high - low);
  const kept = sorted.filter((value) => value >= low - fence && value <= high + fence);
  return fence ? [kept[0], kept.at(-1)] : undefined;
}

/** The constraints on what the axes show, unless they are so far away that nothing else could be seen. */
function limitsOf(points) {
  const far = 4 * Math.max(...points.map(({ x }) => x)), most = data.metrics.limits, shown = [];
  const [x, y] = [most[cost.value], most[score.value]];
  if (x <= far) shown.push({ x, text: `${COSTS[cost.value]} ≤ ${plain.format(x)}` });
  if (y) shown.push({ y, text: `${SCORES[score.value]} ≤ ${plain.format(y)}` });
  return shown;
}

const KINDS = { searched: "searched", random: "random search", classic: "classic", ensemble: "ensemble", front: "Pareto front by validation" };

const tradeoff = new Plot(figures.tradeoff, {
  label: "Value against cost of every network; arrow keys go from one to the next",
  open: openRow,
  picture: thumbnail,
  hues,
  describe() {
    const searched = score.value === data.metrics.search;
    const [table, key] = searched ? [data.trials, "trial"] : [data.rows, "name"];
    const [names, kinds, stages] = [key, "kind", "stage"].map((name) => values(table, name) ?? []);
    const xs = values(table, cost.value) ?? [], ys = values(table, searched ? data.metrics.validation : score.value) ?? [];
    const test = score.value === data.metrics.test, seeds = values(table, "seeds");
    const [lows, highs] = test ? [values(table, "test_low"), values(table, "test_high")] : [];
    // Networks are selected by validation, whatever is shown: so is the front, as in the table.
    const by = searched ? ys : values(table, data.metrics.validation) ?? ys, groups = values(table, "group"), homes = values(table, "campaign");
    const points = [];
    names.forEach((name, i) => {
      if (xs[i] == null || ys[i] == null || (searched && stages[i] !== "search")) return;
      const interval = seeds?.[i] > 2 && lows?.[i] != null ? { low: lows[i], high: Math.min(highs[i], data.metrics.bounds[1] ?? Infinity) } : {};
      points.push({
        x: xs[i], y: ys[i], by: by[i] ?? ys[i], group: searched ? "" : groups?.[i] ?? "", kind: kinds[i], ...hue(homes?.[i]), size: names.length > 60 ? 3 : 6, opens: name,
        label: kinds[i] === "classic" || names.length <= 12 ? name : "", ...interval,
        get text() { return `${name}, ${KINDS[kinds[i]]}\n${told(facts(table, key, name))}`; },
      });
    });
    return {
      x: { title: COSTS[cost.value] ?? "", log: true, compact: true },
      y: { title: SCORES[score.value] ?? "", bounds: data.metrics.bounds, range: rangeOf(points) },
      points, lines: fronts(points), limits: limitsOf(points), names: KINDS,
    };
  },
});

/** For each comparability group, a line of steps through the points that no other beats in cost and validation. */
function fronts(points) {
  return [...new Set(points.map(({ group }) => group))].flatMap((group) => front(points.filter((point) => point.group === group)));
}

function front(points) {
  const xs = [], ys = [];
  const sign = data.metrics.maximize ? 1 : -1;
  let best = null;
  for (const { x, y, by } of points.slice().sort((a, b) => a.x - b.x || sign * (b.by - a.by))) {
    if (best !== null && sign * (by - best) <= 0) continue;
    best = by;
    xs.push(x);
    ys.push(y);
  }
  return xs.length > 1 ? [{ xs, ys, kind: "front", steps: true, faint: true, dash: [5, 4] }] : [];
}

const UNITS = { trial: "trials", hours: "hours of the search", epochs: "epochs trained" };
const unit = chooser(figures.incumbents, "Against", UNITS, () => incumbents.refresh());

const incumbents = new Plot(figures.incumbents, {
  label: "The best so far of each search; arrow keys go from one improvement to the next",
  open: openRow,
  hues,
  describe() {
    const { searches = {}, metric = "", bounds } = data.incumbents;
    const names = {};
    const lines = Object.entries(searches).map(([search, curve]) => {
      const kind = /(^|:)random$/.test(search) ? "random" : "searched", xs = curve[unit.value];
      if (!several.length) names[kind] = names[kind] ? `${names[kind]}, ${search}` : search;
      const texts = curve.by.map((trial, i) => `${search}: ${metric} ${written("number", curve.value[i])}\n${trial}\nafter ${written("number", xs[i])} ${UNITS[unit.value]}`);
      return { xs, ys: curve.value, kind, ...hue(curve.campaign), name: several.length ? search : "", steps: true, dash: kind === "random" ? [6, 3] : [], texts, opens: curve.by };
    });
    return { x: { title: UNITS[unit.value], zero: true, whole: unit.value !== "hours" }, y: { title: `best ${metric}`, bounds }, points: [], lines, names: { ...KINDS, ...names } };
  },
});

const BEST = 20;
const learning = new Plot(figures.curves, {
  label: `${data.metrics.words} by epoch`,
  open: openRow,
  hues,
  describe() {
    const kept = Object.keys(data.curves), ended = kept.some((trial) => trial in data.labels);
    figures.curves.querySelector("figcaption").textContent = ended
      ? "Learning curves: mean and range over seeds" : `Learning curves of the best ${Math.min(kept.length, BEST)} trials`;
    return ended ? networkCurves() : curvesOf(kept.slice(0, BEST));
  },
});

const TABLES = {
  rows: { key: "name", label: "results", open: openRow },
  trials: { key: "trial", label: "all trials", open: openRow },
  campaigns: { key: "name", label: "campaigns", hint: "digits finished", href: (name) => data.links[name] },
};
const grids = Object.fromEntries(all("[data-table]").map((each) => {
  const name = each.dataset.table;
  return [name, new Grid(each, TABLES[name])];
}));
const plots = [tradeoff, incumbents, learning];

function fill() {
  for (const [name, grid] of Object.entries(grids)) grid.fill(data[name]);
  cost.offer(Object.keys(COSTS).filter((name) => values(data.rows.length ? data.rows : data.trials, name)));
  const searched = values(data.trials, data.metrics.validation) ? [data.metrics.search] : [];
  const retrained = [data.metrics.test, data.metrics.validation].filter((name) => values(data.rows, name));
  score.offer([...retrained, ...searched]);
  for (const plot of plots) plot.refresh();
}

show({
  fill,
  draw() { for (const plot of plots) plot.draw(); },
  print() { grids.rows.draw(grids.rows.order?.length <= 1000); },
});
