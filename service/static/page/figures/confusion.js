// The confusion matrix as a table: rows are true digits, columns what was read.

import { element } from "../element.js";

const DIGITS = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9];

/**
 * The table of a 10 x 10 matrix of counts; mistakes are shaded, the more the darker. With `open`,
 * each cell that has images is a button that calls `open(label, digit)`.
 */
export function confusionTable(matrix, open = null) {
  const mistakes = matrix.flatMap((row, label) => row.filter((_, digit) => digit !== label));
  const most = Math.max(1, ...mistakes);
  const head = element(
    "tr",
    {},
    element("td", { class: "corner" }),
    ...DIGITS.map((digit) => element("th", { scope: "col" }, String(digit))),
  );
  const rows = DIGITS.map((label) =>
    element(
      "tr",
      {},
      element("th", { scope: "row" }, String(label)),
      ...matrix[label].map((number, digit) => cell({ number, label, digit, most, open })),
    ),
  );
  return element(
    "table",
    { class: "confusion" },
    element(
      "caption",
      {},
      "Rows: the true digit. Columns: what was read. Mistakes are shaded.",
      open ? " Each cell opens its images." : "",
    ),
    element("thead", {}, head),
    element("tbody", {}, ...rows),
  );
}

function cell({ number, label, digit, most, open }) {
  const kind = label === digit ? "right" : number ? "wrong" : "none";
  // A zero is for the ear alone: ninety of them would hide the few mistakes there are.
  let content = kind === "none" ? element("span", { class: "unseen" }, "0") : String(number);
  if (number && open) {
    const words = kind === "right" ? `${number} read right as ${digit}` : `${number} read as ${digit}, but a ${label}`;
    content = element("button", { "aria-label": words }, String(number));
    content.addEventListener("click", () => open(label, digit));
  }
  const made = element("td", { class: kind }, content);
  if (kind === "wrong")
    made.style.setProperty("--shade", `${Math.round(8 + (36 * number) / most)}%`);
  return made;
}
