// What every page does: it shows its data, light or dark, follows the server if it is served, and prints.
let data = JSON.parse(document.getElementById("data").textContent);

/** @returns {any[]} */
const all = (selector, root = document) => [...root.querySelectorAll(selector)];

/** fill(): takes the data, also when they change; draw(): paints again in other colours; print(): shows all. */
function show({ fill, draw = () => {}, print = () => {} }) {
  const button = document.getElementById("theme");

  function themed() {
    button.textContent = theme.current === "dark" ? "Light" : "Dark";
    draw();
  }

  button.addEventListener("click", () => { theme.flip(); themed(); });
  theme.system.addEventListener("change", () => { theme.start(); themed(); });

  let before = null;
  addEventListener("beforeprint", () => {
    before = theme.current;
    theme.show("light");
    themed();
    for (const details of all("details")) details.open = true;
    print();
  });
  addEventListener("afterprint", () => { theme.show(before); themed(); });

  /** Takes what changed from the served page; where one has scrolled, sorted and filtered stays. */
  async function news() {
    const { state } = await (await fetch("state")).json();
    if (state === data.state) return;
    const page = new DOMParser().parseFromString(await (await fetch("./")).text(), "text/html");
    const open = new Set(all("details[open]").map((each) => each.dataset.key));
    for (const part of all("[data-part]", page)) {
      const here = document.querySelector(`[data-part="${part.dataset.part}"]`);
      if (here.innerHTML !== part.innerHTML) here.innerHTML = part.innerHTML;
    }
    for (const details of all("details[data-key]")) details.open = open.has(details.dataset.key);
    data = JSON.parse(page.getElementById("data").textContent);
    fill();
  }

  function said(text) {
    const status = document.getElementById("live");
    if (status.textContent !== text) status.textContent = text;
  }

  async function follow() {
    const began = performance.now();
    try {
      await news();
      said("Live: this page follows the records.");
    } catch {
      said("The server has stopped; this page shows its last state.");
    }
    // A large page takes longer to make, so the server is asked less often.
    setTimeout(follow, Math.max(2000, 4 * (performance.now() - began)));
  }

  fill();
  themed();
  if ("live" in document.body.dataset) follow();
}
