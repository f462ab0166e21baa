// Ten bars, one for each digit.

import { element, likely } from "../element.js";

/** Fills `list` with ten bars; gives a function that moves them to ten probabilities or null. */
export function makeBars(list) {
  const bars = Array.from({ length: 10 }, (_, digit) => makeBar(digit));
  list.append(...bars.map((bar) => bar.item));

  return (probabilities) => {
    const most = probabilities ? probabilities.indexOf(Math.max(...probabilities)) : -1;
    bars.forEach((bar, digit) => bar.move(probabilities?.[digit] ?? 0, digit === most));
  };
}

function makeBar(digit) {
  const fill = element("span", { class: "fill" });
  const share = element("span", { class: "share", "aria-hidden": "true" });
  const words = element("span", { class: "unseen" }, `${digit}: 0 %`);
  const item = element(
    "li",
    { "data-digit": digit },
    words,
    share,
    element("span", { class: "track", "aria-hidden": "true" }, fill),
    element("span", { class: "label", "aria-hidden": "true" }, String(digit)),
  );

  function move(probability, isMost) {
    fill.style.transform = `scaleY(${probability})`;
    share.textContent = isMost ? likely(probability) : "";
    words.textContent = `${digit}: ${likely(probability)}`;
    item.classList.toggle("most", isMost);
  }

  return { item, move };
}
