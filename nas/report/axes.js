// Colours, and the tick marks of axes.
const probe = document.body.appendChild(element("i", { hidden: "" }));

function ink(name) {
  probe.style.color = `var(--${name})`;
  return getComputedStyle(probe).color;
}

/** @returns {number[]} */
function ticks(low, high, log) {
  if (log) {
    const found = [], factors = Math.log10(high / low) > 2 ? [1] : [1, 2, 5];
    for (let power = Math.floor(Math.log10(low)); power <= Math.ceil(Math.log10(high)); power++) {
      for (const factor of factors) {
        const value = factor * 10 ** power;
        if (value >= low && value <= high) found.push(value);
      }
    }
    if (found.length > 1) return found;
  }
  const rough = (high - low) / 5, power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((each) => each >= rough);
  const found = [];
  for (let i = Math.ceil(low / step); i * step <= high * (1 + 1e-9); i++) found.push(i * step);
  return found;
}

const plain = new Intl.NumberFormat("en", { maximumSignificantDigits: 4 });
